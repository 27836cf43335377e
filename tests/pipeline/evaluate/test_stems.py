"""Voice and accompaniment come from the channels in which a set keeps them."""

import numpy as np
import pytest
import soundfile

from pipeline.evaluate import stems
from pipeline.store.errors import Problem

CHANNELS = np.array([[0.1, 0.2], [0.3, -0.1], [-0.2, 0.4], [0.25, 0.0]], np.float32)


def test_stems_are_the_named_channels_and_the_mix_is_their_sum(tmp_path):
    soundfile.write(tmp_path / "a.wav", CHANNELS.T, 8000, subtype="FLOAT")
    found = stems.read(tmp_path / "a.wav", (0, 1), (2, 3))
    assert found.sample_rate_hz == 8000
    np.testing.assert_array_equal(found.voice, CHANNELS[:2])
    np.testing.assert_array_equal(found.accompaniment, CHANNELS[2:])
    np.testing.assert_array_equal(found.mix, CHANNELS[:2] + CHANNELS[2:])


def test_the_accompaniment_of_a_voice_alone_is_silence():
    found = stems.split(CHANNELS[:1], (), (), 8000)
    np.testing.assert_array_equal(found.mix, CHANNELS[:1])
    assert not found.accompaniment.any()


def test_other_channels_than_the_sets_are_a_problem():
    with pytest.raises(Problem, match="4 channels where 2 are expected"):
        stems.split(CHANNELS, (1,), (0,), 8000)
