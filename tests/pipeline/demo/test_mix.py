import numpy as np
import pytest
import torch

from pipeline.demo.mix import PEAK, VOICE_OVER_ACCOMPANIMENT_DB, part, perform
from pipeline.demo.phrasing import check
from pipeline.demo.singer import draw_singers
from pipeline.demo.voice import active_rms
from pipeline.separators.spleeter import Spleeter

RATE = 22050
SINGERS = draw_singers(["a", "b", "c"], np.random.default_rng(0))


@pytest.mark.parametrize("seed", range(4))
def test_the_voice_is_a_little_louder_than_the_accompaniment_and_nothing_clips(seed):
    recording = perform(SINGERS[seed % 3 :][:1], 8.0, "strings", RATE, np.random.default_rng(seed))
    over_db = 20 * np.log10(active_rms(recording.vocals, RATE) / active_rms(recording.accompaniment, RATE))
    assert VOICE_OVER_ACCOMPANIMENT_DB[0] - 0.1 <= over_db <= VOICE_OVER_ACCOMPANIMENT_DB[1] + 0.1
    assert np.isfinite(recording.mix).all()
    assert PEAK[0] - 1e-3 <= np.abs(recording.mix).max() <= PEAK[1] + 1e-3
    np.testing.assert_allclose(recording.mix, recording.vocals + recording.accompaniment)
    assert recording.mix.shape == (2, round(recording.song.duration_s * RATE))


def test_an_instrumental_has_no_voice():
    recording = perform([], 8.0, "keys", RATE, np.random.default_rng(0))
    assert not recording.vocals.any()
    assert np.abs(recording.mix).max() > PEAK[0] - 1e-3


def test_the_intro_has_no_voice_and_the_reverberation_is_stereo_but_quiet():
    recording = perform(SINGERS[:1], 8.0, "pads", RATE, np.random.default_rng(1))
    intro = recording.vocals[:, : int(0.5 * recording.song.melody[0].start_s * RATE)]
    assert np.abs(intro).max() < 0.01 * np.abs(recording.vocals).max()
    side, middle = recording.vocals[0] - recording.vocals[1], recording.vocals.sum(axis=0)
    assert 0.01 < side.std() / middle.std() < 0.3


def test_in_a_duet_both_sing_in_turns_and_together_at_the_end():
    recording = perform(SINGERS[:2], 20.0, "pads", RATE, np.random.default_rng(2))
    check(recording.song.melody)
    phrase_s = 8 * recording.song.beat_s
    starts = [note.start_s for note in recording.song.melody]
    assert len({int((start - phrase_s / 2) / phrase_s + 1e-6) for start in starts}) >= 3
    first, second = (part(recording.song, number, 2) for number in (0, 1))
    assert {n.start_s for n in first} | {n.start_s for n in second} == set(starts)
    shared = {n.start_s for n in first} & {n.start_s for n in second}
    assert shared == {s for s in starts if s >= min(shared)}
    assert 0 < len(shared) < len(first)


def test_a_separator_trained_on_real_music_finds_the_voice():
    recording = perform(SINGERS[:1], 12.0, "keys", 44100, np.random.default_rng(3))
    found = Spleeter().separate(torch.from_numpy(recording.mix)).numpy().mean(axis=0)
    voice, accompaniment = recording.vocals.mean(axis=0), recording.accompaniment.mean(axis=0)
    found = found[: len(voice)]
    shares = np.linalg.lstsq(np.stack([voice, accompaniment], axis=1), found, rcond=None)[0]
    assert shares[0] > 0.75
    assert abs(shares[1]) < 0.15
    error = found - (found @ voice) / (voice @ voice) * voice
    assert 10 * np.log10(((found - error) ** 2).sum() / (error**2).sum()) > 5.0  # SI-SDR, at 0 to 3 dB in the mix


def test_the_same_seed_gives_the_same_performance():
    mixes = [perform(SINGERS[:1], 6.0, "keys", RATE, np.random.default_rng(seed)).mix for seed in (1, 1, 2)]
    assert np.array_equal(mixes[0], mixes[1])
    assert mixes[0].shape != mixes[2].shape or not np.array_equal(mixes[0], mixes[2])
