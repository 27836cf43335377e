"""mp3 and ogg round trips."""

from typing import Any

import numpy as np
import pytest

from encoder.training.augment.codec import FORMATS, round_trip

RATE = 44100


@pytest.mark.parametrize("codec", sorted(FORMATS))
def test_a_codec_keeps_the_voices_timing_and_loses_a_little(measure: Any, codec: str) -> None:
    wave = measure.voice(200.0, 1.0)[0].numpy()
    out = round_trip(wave, RATE, codec, 0.5)
    assert out.shape == wave.shape
    error = float(np.square(out - wave)[4000:-4000].sum() / np.square(wave)[4000:-4000].sum())
    assert 1e-9 < error < 0.02
