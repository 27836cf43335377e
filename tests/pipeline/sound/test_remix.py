import numpy as np
import pytest
import soundfile

from pipeline.sound import remix
from pipeline.sound.audio import BLOCK_S

RATE = 16000


def write(path, wave: np.ndarray) -> str:
    soundfile.write(path, wave, RATE, subtype="FLOAT")
    return str(path)


@pytest.fixture
def track(tmp_path) -> tuple[str, str, np.ndarray, np.ndarray]:
    """Return files of vocals and of a mix that is a little shorter, and their samples."""
    rng = np.random.default_rng(0)
    vocals = rng.normal(0, 0.1, round((BLOCK_S + 2.5) * RATE)).astype(np.float32)
    mix = (vocals + rng.normal(0, 0.1, len(vocals)).astype(np.float32))[:-100]
    return write(tmp_path / "v.wav", vocals), write(tmp_path / "m.wav", mix), vocals, mix


def test_vocals_and_mix_stay_aligned(track):
    *uris, vocals, mix = track
    found = np.concatenate(list(remix.beside(*uris, RATE)), axis=1)
    np.testing.assert_array_equal(found[0], vocals)
    np.testing.assert_array_equal(found[1, : len(mix)], mix)
    assert not found[1, len(mix) :].any()


def test_a_longer_mix_and_a_much_shorter_one(track, tmp_path):
    uri, _, vocals, _ = track
    longer = write(tmp_path / "l.wav", np.concatenate([vocals, vocals]))
    assert np.concatenate(list(remix.beside(uri, longer, RATE)), axis=1).shape == (2, len(vocals))
    shorter = write(tmp_path / "s.wav", vocals[: 3 * RATE])
    found = np.concatenate(list(remix.beside(uri, shorter, RATE)), axis=1)
    assert found.shape == (2, len(vocals))
    assert not found[1, 3 * RATE :].any()


def test_an_accompaniment_repeats_when_it_ends(track):
    *uris, vocals, mix = track
    accompaniment = remix.Accompaniment(*uris, RATE)
    once = np.pad(mix, (0, 100)) - vocals
    taken = np.concatenate([accompaniment.take(5 * RATE) for _ in range(6)], axis=1)[0]
    np.testing.assert_array_equal(taken, np.tile(once, 3)[: 30 * RATE])


@pytest.mark.parametrize("ratio_db", [-5.0, 0.0, 6.0])
def test_an_accompaniment_has_the_given_level_below_the_voice(ratio_db):
    vocals, other = np.random.default_rng(0).normal(0, [[0.05], [0.2]], (2, RATE)).astype(np.float32)
    found = remix.with_accompaniment(vocals[None], other[None], ratio_db)[0] - vocals
    assert 10 * np.log10((vocals**2).mean() / (found**2).mean()) == pytest.approx(ratio_db, abs=0.01)


def test_a_loud_remix_does_not_clip_and_silence_stays():
    loud = np.ones((1, 100), np.float32)
    assert np.abs(remix.with_accompaniment(loud, loud, 0.0)).max() == pytest.approx(1)
    silence = np.zeros((1, 100), np.float32)
    assert not remix.with_accompaniment(silence, silence, 0.0).any()
    np.testing.assert_array_equal(remix.with_accompaniment(loud, silence, 0.0), loud)
