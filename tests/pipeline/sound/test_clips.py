import itertools

import numpy as np
import pytest
import soundfile

from pipeline.sections import ShardConfig
from pipeline.sound import audio
from pipeline.sound.clips import FRAME_S, cut_clips, voiced_stretches
from pipeline.sound.excerpt import Excerpt
from pipeline.sound.levels import db_to_gain, near_the_loud
from pipeline.store.errors import Problem

RATE = 16000
CONFIG = ShardConfig(sample_rate_hz=RATE)


def levels(*runs: tuple[float, float]) -> np.ndarray:
    """Return frame levels from runs of (seconds, dB)."""
    return np.concatenate([np.full(round(seconds / FRAME_S), db) for seconds, db in runs])


def stretches(frames: np.ndarray, config: ShardConfig = CONFIG) -> list[tuple[int, int]]:
    return voiced_stretches(frames, near_the_loud(frames, config.range_db, config.floor_db), config)


def sing(path, *runs: tuple[float, float]) -> str:
    rng = np.random.default_rng(0)
    wave = np.concatenate([rng.normal(0, db_to_gain(db), round(seconds * RATE)) for seconds, db in runs])
    soundfile.write(path, wave, RATE)
    return str(path)


def test_clips_are_the_singing_between_pauses():
    found = stretches(levels((3, -90), (6, -20), (5, -90), (8, -20), (2, -90)))
    assert found == [(30, 90), (140, 220)]


def test_short_pauses_stay_inside_a_clip():
    assert stretches(levels((3, -20), (0.8, -90), (3, -20))) == [(0, 68)]
    twice = levels((5, -20), (0.8, -90), (5, -20))
    assert len(stretches(twice, ShardConfig(pause_s=0.5))) == 2
    assert stretches(twice, ShardConfig(pause_s=0.5, max_s=12))[0] == (0, 50)


def test_long_singing_is_cut_where_it_is_quietest():
    frames = levels((25, -20))
    frames[83], frames[171] = -30, -30
    found = stretches(frames)
    assert found[:2] == [(0, 83), (83, 171)]
    assert all(40 <= last - first <= 100 for first, last in found)
    assert found[-1][1] == 250


@pytest.mark.parametrize("seconds", [8.1, 10.1, 14.0, 17.9, 60.0, 61.3])
def test_clips_keep_to_the_allowed_lengths_and_lose_no_singing(seconds):
    rng = np.random.default_rng(1)
    frames = levels((seconds, -20)) + rng.normal(0, 1, round(seconds / FRAME_S))
    found = stretches(frames)
    assert found[0][0] == 0
    assert found[-1][1] == len(frames)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(found))
    assert all(40 <= last - first <= 100 for first, last in found)


def test_a_phrase_is_extended_and_a_shout_is_not():
    assert stretches(levels((5, -90), (3, -20), (5, -90))) == [(45, 85)]
    assert stretches(levels((5, -90), (1, -20), (5, -90))) == []
    assert stretches(levels((3, -20), (5, -90))) == [(0, 40)]


def test_quiet_or_empty_vocals_give_no_clip():
    assert stretches(levels((20, -70))) == []
    assert stretches(np.zeros(0)) == []


def test_frames_far_below_the_loud_singing_or_below_the_floor_are_a_pause():
    frames = levels((10, -20), (5, -45), (5, -90))
    assert sum(last - first for first, last in stretches(frames, ShardConfig(range_db=30))) == 150
    assert sum(last - first for first, last in stretches(frames, ShardConfig(range_db=20))) == 100
    assert sum(last - first for first, last in stretches(frames, ShardConfig(range_db=30, floor_db=-40))) == 100


def test_clips_contain_the_samples_of_vocals_and_mix(tmp_path):
    uris = [sing(tmp_path / "v.flac", (2, -95), (23, -20), (4, -95), (5, -20)), sing(tmp_path / "m.wav", (36, -15))]
    whole = [audio.read(uri, RATE, 1).samples for uri in uris]
    clips = list(cut_clips(*uris, CONFIG))
    assert len(clips) >= 4
    for clip in clips:
        where = slice(round(clip.start_s * RATE), round(clip.end_s * RATE))
        np.testing.assert_array_equal(clip.vocals, whole[0][:, where])
        np.testing.assert_array_equal(clip.mix, whole[1][:, where])
        assert CONFIG.min_s <= clip.end_s - clip.start_s <= CONFIG.max_s


def test_clips_do_not_cross_excerpts_and_have_times_of_the_track(tmp_path):
    excerpts = [Excerpt(3.0, 9.0), Excerpt(10.0, 30.0)]
    vocals = sing(tmp_path / "v.flac", (3, -120), (6, -20), (1, -120), (20, -20))
    mix = sing(tmp_path / "m.wav", (40, -15))
    whole = [audio.read(uri, RATE, 1).samples for uri in (vocals, mix)]
    clips = list(cut_clips(vocals, mix, CONFIG, excerpts))
    assert (clips[0].start_s, clips[0].end_s) == (
        3.0,
        9.0,
    )  # it would be one clip with what follows if they were one stretch
    assert (clips[1].start_s, clips[-1].end_s) == (10.0, 30.0)
    for clip in clips:
        where = slice(round(clip.start_s * RATE), round(clip.end_s * RATE))
        np.testing.assert_array_equal(clip.vocals, whole[0][:, where])
        np.testing.assert_array_equal(clip.mix, whole[1][:, where])


def test_a_track_without_singing_is_a_problem(tmp_path):
    with pytest.raises(Problem, match="no stretch of singing") as caught:
        list(cut_clips(sing(tmp_path / "v.flac", (6, -95)), sing(tmp_path / "m.flac", (6, -20)), CONFIG))
    assert caught.value.kind == "too_short"
