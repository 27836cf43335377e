import io
import itertools

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from pydantic import ValidationError

from pipeline import audio, shard, tables
from pipeline.errors import Problem
from pipeline.shard import ShardConfig, cut_clips, frame_levels_db, voiced_stretches

RATE = 16000
CONFIG = ShardConfig(sample_rate_hz=RATE)


def levels(*runs: tuple[float, float]) -> np.ndarray:
    """Frame levels from (seconds, dB) runs."""
    return np.concatenate([np.full(round(seconds / shard.FRAME_S), db) for seconds, db in runs])


def sing(path, *runs: tuple[float, float]) -> str:
    rng = np.random.default_rng(0)
    wave = np.concatenate([rng.normal(0, 10 ** (db / 20), round(seconds * RATE)) for seconds, db in runs])
    soundfile.write(path, wave, RATE)
    return str(path)


def test_levels_are_rms_in_db():
    block = np.full((1, 250), 0.1, np.float32)
    np.testing.assert_allclose(frame_levels_db(block, 100)[:2], -20, atol=1e-4)
    assert frame_levels_db(np.zeros((1, 100), np.float32), 100)[0] == shard.SILENCE_DB


def test_singing_is_cut_out_of_pauses():
    found = voiced_stretches(levels((3, -90), (6, -20), (5, -90), (8, -20), (2, -90)), CONFIG)
    assert found == [(30, 90), (140, 220)]


def test_short_pauses_stay_inside_a_clip():
    assert voiced_stretches(levels((3, -20), (0.8, -90), (3, -20)), CONFIG) == [(0, 68)]


def test_long_singing_is_cut_where_it_is_quietest():
    frames = levels((25, -20))
    frames[83], frames[171] = -30, -30
    found = voiced_stretches(frames, CONFIG)
    assert found[:2] == [(0, 83), (83, 171)]
    assert all(40 <= last - first <= 100 for first, last in found)
    assert found[-1][1] == 250


@pytest.mark.parametrize("seconds", [8.1, 10.1, 14.0, 17.9, 60.0, 61.3])
def test_every_cut_keeps_to_the_lengths_and_loses_nothing(seconds):
    rng = np.random.default_rng(1)
    frames = levels((seconds, -20)) + rng.normal(0, 1, round(seconds / shard.FRAME_S))
    found = voiced_stretches(frames, CONFIG)
    assert found[0][0] == 0
    assert found[-1][1] == len(frames)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(found))
    assert all(40 <= last - first <= 100 for first, last in found)


def test_a_phrase_is_widened_and_a_shout_is_not():
    assert voiced_stretches(levels((5, -90), (3, -20), (5, -90)), CONFIG) == [(45, 85)]
    assert voiced_stretches(levels((5, -90), (1, -20), (5, -90)), CONFIG) == []
    assert voiced_stretches(levels((3, -20), (5, -90)), CONFIG) == [(0, 40)]


def test_what_is_quiet_or_nothing_gives_no_clip():
    assert voiced_stretches(levels((20, -70)), CONFIG) == []
    assert voiced_stretches(np.zeros(0), CONFIG) == []


def test_clips_are_the_samples_of_the_track(tmp_path):
    uri = sing(tmp_path / "v.flac", (2, -95), (23, -20), (4, -95), (5, -20))
    whole = audio.read(uri, RATE, 1).samples
    clips = list(cut_clips(uri, CONFIG))
    assert len(clips) >= 4
    for start_s, end_s, clip in clips:
        np.testing.assert_array_equal(clip.samples, whole[:, round(start_s * RATE): round(end_s * RATE)])
        assert CONFIG.min_s <= clip.duration_s <= CONFIG.max_s


def test_a_track_without_singing_is_a_problem(tmp_path):
    with pytest.raises(Problem, match="no stretch of singing") as caught:
        list(cut_clips(sing(tmp_path / "v.flac", (6, -95)), CONFIG))
    assert caught.value.kind == "too_short"


def test_the_worker_packs_whole_tracks_into_shards(make_config, workspace, tmp_path):
    config = make_config(shard={"sample_rate_hz": RATE, "shard_mb": 0.4})
    rows = [{"track_id": f"t{i}", "vocals_uri": sing(tmp_path / f"{i}.flac", (9 + i, -20))} for i in range(4)]
    rows.append({"track_id": "quiet", "vocals_uri": sing(tmp_path / "q.flac", (9, -95))})
    rows.append({"track_id": "gone", "vocals_uri": str(tmp_path / "gone.flac")})
    outcomes = shard.ShardWorker(config)(pa.Table.from_pylist(rows)).to_pylist()
    assert [(row["key"], row["error"]) for row in outcomes if row["status"] == "failed"] == [
        ("quiet", "too_short"), ("gone", "missing")]
    assert len(tables.parts(workspace, "clips")) == 2
    for part in tables.iter_arrow(workspace, "clips", ["track_id"]):
        assert len(set(part["track_id"].to_pylist())) == 2
    clips = tables.read(workspace, "clips")
    assert clips["clip_id"].is_unique
    samples, rate = soundfile.read(io.BytesIO(clips["audio"][0]))
    assert rate == clips["sample_rate_hz"][0] == RATE
    assert len(samples) == round((clips["end_s"][0] - clips["start_s"][0]) * RATE)


def test_pending_leaves_out_the_done_the_failed_and_the_instrumental(workspace):
    tables.write(workspace, "vocals", [{"track_id": name, "vocals_uri": name, "has_vocals": name != "band"}
                                       for name in ("done", "failed", "band", "new")], "p")
    tables.write(workspace, "clips", [{"clip_id": "done-0", "track_id": "done"}], "p")
    tables.write(workspace, "failures", [{"stage": "shard", "key": "failed"}], "shard-p")
    todo, done = shard.pending(workspace)
    assert todo["track_id"].to_pylist() == ["new"]
    assert done == 2


def test_lengths_that_cannot_be_kept_are_refused():
    with pytest.raises(ValidationError, match="at least twice"):
        ShardConfig(min_s=6, max_s=10)
