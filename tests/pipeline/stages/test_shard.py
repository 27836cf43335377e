import io

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from pydantic import ValidationError

from encoder.training.data import ClipShards
from pipeline.sections import SeparateConfig, ShardConfig
from pipeline.sound import audio
from pipeline.sound.vocals_file import vocals_name
from pipeline.stages import shard
from pipeline.store import provenance, tables
from pipeline.store.ledger import MAX_CRASHES, Ledger, forget_crashes
from tests.pipeline.sound.test_clips import sing

RATE = 16000
CONFIG = ShardConfig(sample_rate_hz=RATE)


def track(folder, name: str, *vocals: tuple[float, float]) -> dict:
    """Return a row for the worker: the given vocals, in a louder mix, remixed with itself."""
    uri, mix = sing(folder / f"{name}.flac", *vocals), sing(folder / f"{name}.wav", (sum(s for s, _ in vocals), -14))
    here = {"vocals_uri": uri, "uri": mix, "excerpts": None}
    return {"track_id": name} | here | {f"other_{key}": value for key, value in here.items()}


def make_worker(workspace, **settings):
    config = ShardConfig(sample_rate_hz=RATE, **settings)
    return shard.ShardWorker(workspace.root, config, SeparateConfig(separator="spleeter"))


def test_the_worker_packs_whole_tracks_into_shards(workspace, tmp_path):
    rows = [track(tmp_path, f"t{i}", (9 + i, -20)) for i in range(4)]
    rows.append(track(tmp_path, "quiet", (9, -95)))
    rows.append(rows[0] | {"track_id": "gone", "vocals_uri": str(tmp_path / "gone.flac")})
    rows.append(rows[0] | {"track_id": "moved", "uri": str(tmp_path / "gone.wav")})
    outcomes = make_worker(workspace, shard_mb=0.4)(pa.Table.from_pylist(rows)).to_pylist()
    assert [(row["key"], row["error"]) for row in outcomes if row["status"] == "failed"] == [
        ("quiet", "too_short"),
        ("gone", "missing"),
        ("moved", "missing"),
    ]
    assert len(tables.parts(workspace, "clips")) == 2
    for part in tables.iter_arrow(workspace, "clips", ["track_id"]):
        assert len(set(part["track_id"].to_pylist())) == 2
    clips = tables.read(workspace, "clips")
    assert clips["clip_id"].is_unique
    assert clips["pair_audio"].isna().all()
    samples, rate = soundfile.read(io.BytesIO(clips["audio"][0]))
    assert rate == clips["sample_rate_hz"][0] == RATE
    assert len(samples) == round((clips["end_s"][0] - clips["start_s"][0]) * RATE)


def test_a_batch_that_another_worker_had_begun_is_not_written_twice(workspace, tmp_path):
    rows = [track(tmp_path, f"t{i}", (9 + i, -20)) for i in range(4)]
    batch = pa.Table.from_pylist(rows)
    worker = make_worker(workspace, shard_mb=0.2)
    worker(batch)
    assert len(tables.parts(workspace, "clips")) == 4
    for _ in range(MAX_CRASHES):
        ledger = Ledger(workspace, "shard", "clips")
        ledger.survivors(rows, "track_id")
        ledger.item("t0").__enter__()  # never left: the worker died while processing it
    worker(batch)
    clips = tables.read(workspace, "clips")
    assert clips["clip_id"].is_unique
    assert sorted(set(clips["track_id"])) == ["t1", "t2", "t3"]
    assert tables.failed_keys(workspace, "shard") == {"t0"}
    forget_crashes(workspace, "shard")
    provenance.forget_failures(workspace, "shard")
    worker(batch)
    assert sorted(set(tables.read(workspace, "clips")["track_id"])) == ["t0", "t1", "t2", "t3"]
    assert tables.failed_keys(workspace, "shard") == set()


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_share_of_the_mix_is_added_back(workspace, tmp_path, share):
    row = track(tmp_path, "t", (9, -20))
    make_worker(workspace, mix_share=share)(pa.Table.from_pylist([row]))
    samples, _ = soundfile.read(io.BytesIO(tables.read(workspace, "clips")["audio"][0]))
    vocals, mix = (audio.read(row[name], RATE, 1).samples[0, : len(samples)] for name in ("vocals_uri", "uri"))
    np.testing.assert_allclose(samples, (1 - share) * vocals + share * mix, atol=2 / 2**15)


def test_without_a_share_the_mix_is_not_read(workspace, tmp_path):
    row = track(tmp_path, "t", (9, -20)) | {"uri": str(tmp_path / "gone.wav")}
    worker = make_worker(workspace, mix_share=0)
    outcomes = worker(pa.Table.from_pylist([row]))
    assert outcomes["status"].to_pylist() == ["done"]
    clips = tables.read(workspace, "clips")
    assert outcomes["audio_s"].to_pylist() == [pytest.approx((clips["end_s"] - clips["start_s"]).sum())]


def test_pairs_are_the_same_singing_separated_from_other_music(workspace, tmp_path):
    worker = make_worker(workspace, pairs=True)
    row = track(tmp_path, "t", (9, -20))
    parts = [pa.Table.from_pylist([row | {"track_id": name}]) for name in ("t", "u")]
    worker(pa.concat_tables(parts))
    clips = tables.read(workspace, "clips")
    for clip in clips.to_dict("records"):
        (one, _), (other, _) = (soundfile.read(io.BytesIO(clip[column])) for column in ("audio", "pair_audio"))
        assert len(one) == len(other)
        assert not np.allclose(one, other, atol=0.01)
    assert clips["pair_audio"][0] != clips["pair_audio"][1]  # each clip has its own ratio
    first = clips["pair_audio"][0]
    worker(parts[0])
    assert first in set(tables.read(workspace, "clips")["pair_audio"])
    assert ClipShards.open(workspace.path("clips")).has_pairs


def test_done_failed_and_instrumental_tracks_are_not_pending(workspace):
    tables.write(
        workspace,
        "vocals",
        [
            {"track_id": name, "vocals_uri": name, "has_vocals": name != "band", "excerpts": excerpts}
            for name, excerpts in (
                ("done", None),
                ("failed", None),
                ("band", None),
                ("new", [{"start_s": 1.0, "end_s": 9.0}]),
            )
        ],
        "p",
    )
    tables.write(
        workspace,
        "tracks",
        [{"track_id": name, "uri": f"{name}.mp3"} for name in ("done", "failed", "band", "new")],
        "p",
    )
    tables.write(workspace, "clips", [{"clip_id": "done-0", "track_id": "done"}], "p")
    tables.write(workspace, "failures", [{"stage": "shard", "key": "failed"}], "shard-p")
    todo, done = shard.pending(workspace)
    assert todo.to_pylist() == [
        {
            "track_id": "new",
            "vocals_uri": "new",
            "excerpts": [{"start_s": 1.0, "end_s": 9.0}],
            "uri": "new.mp3",
            "other_vocals_uri": "done",
            "other_excerpts": None,
            "other_uri": "done.mp3",
        }
    ]
    assert done == 2


def test_nothing_is_pending_if_nobody_sings(workspace):
    tables.write(workspace, "tracks", [{"track_id": "band", "uri": "band.mp3"}], "p")
    tables.write(workspace, "vocals", [{"track_id": "band", "has_vocals": False}], "p")
    todo, done = shard.pending(workspace)
    assert (len(todo), done) == (0, 0)


def test_vocals_are_removed_only_if_there_are_clips(workspace):
    for track_id in ("aa01", "bb02"):
        workspace.write_bytes(vocals_name(track_id), b"sound")
    tables.write(workspace, "clips", [{"clip_id": "aa01-0", "track_id": "aa01"}], "p")
    assert shard.forget_vocals(workspace) == 1
    assert list(workspace.list_all("vocals_audio")) == [vocals_name("bb02")]
    assert shard.forget_vocals(workspace) == 0


def test_contradicting_lengths_are_refused():
    with pytest.raises(ValidationError, match="at least twice"):
        ShardConfig(min_s=6, max_s=10)
