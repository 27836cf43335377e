import contextlib
import itertools
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from pipeline.store import gather as module
from pipeline.store import provenance, tables
from pipeline.store.gather import gather
from pipeline.store.workspace import Workspace


def append(workspace: Workspace, *track_ids: str, table: str = "vocals") -> None:
    for track_id in track_ids:
        vector = {"embedding": [1.0]} if table in ("embeddings", "voices") else {}
        tables.append(workspace, table, [{"track_id": track_id, **vector}], track_id)


def names(workspace: Workspace, table: str = "vocals") -> list[str]:
    return sorted(path.name for path in Path(workspace.path(table)).glob("*"))


def test_small_parts_become_few_and_no_row_is_lost_or_duplicated(workspace):
    append(workspace, "a", "b", "c")
    assert sorted(tables.read(workspace, "vocals")["track_id"]) == ["a", "b", "c"]
    gather(workspace)
    append(workspace, "d")
    assert sorted(tables.read(workspace, "vocals")["track_id"]) == ["a", "b", "c", "d"]
    gather(workspace)
    gather(workspace)
    assert sorted(pd.read_parquet(workspace.path("vocals"))["track_id"]) == ["a", "b", "c", "d"]
    assert len(names(workspace)) == 1
    assert workspace.list_all(tables.WAITING) == {}


@pytest.mark.parametrize("table", tables.GATHERED)
def test_many_small_runs_leave_few_parts_in_every_table(workspace, monkeypatch, table):
    monkeypatch.setattr(module, "FULL_ROWS", 10)
    ids = [f"{i:02d}" for i in np.random.default_rng(0).permutation(40)]
    for start in range(0, 40, 3):
        append(workspace, *ids[start : start + 3], table=table)
        if table == "embeddings":
            append(workspace, *ids[start : start + 3], table="voices")
        gather(workspace)
    parts = [pq.read_table(Path(workspace.path(table), name)) for name in names(workspace, table)]
    assert sum(part.num_rows < 10 for part in parts) <= 1
    assert len(parts) <= 4
    assert all(part["track_id"].to_pylist() == sorted(part["track_id"].to_pylist()) for part in parts)
    assert sorted(track_id for part in parts for track_id in part["track_id"].to_pylist()) == sorted(ids)


def test_small_parts_of_earlier_runs_fill_up_one_after_the_other(workspace, monkeypatch):
    monkeypatch.setattr(module, "FULL_ROWS", 3)
    for i in range(4):
        tables.write(workspace, "vocals", [{"track_id": f"old {i}"}], str(i))
    for i in range(8):
        append(workspace, f"new {i}")
        gather(workspace)
    assert [pq.read_metadata(Path(workspace.path("vocals"), name)).num_rows for name in names(workspace)] == [3] * 4


def test_a_file_that_is_not_a_part_does_not_grow(workspace):
    workspace.write_bytes("vocals/_config.yaml", b"of version 0.1")
    append(workspace, "a")
    gather(workspace)
    assert workspace.read_bytes("vocals/_config.yaml") == b"of version 0.1"
    assert tables.read(workspace, "vocals")["track_id"].tolist() == ["a"]


def test_a_reader_finds_each_row_once_while_parts_grow(workspace, monkeypatch):
    monkeypatch.setattr(module, "FULL_ROWS", 30)
    append(workspace, "000")
    gather(workspace)
    ended, seen = threading.Event(), []

    def read() -> None:
        while not ended.is_set():
            seen.append(pd.read_parquet(workspace.path("vocals"))["track_id"])

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(1, 50):
        append(workspace, f"{i:03d}")
        gather(workspace)
    ended.set()
    reader.join()
    counts = [len(rows) for rows in seen]
    assert len(set(counts)) > 3
    assert counts == sorted(counts)
    assert all(rows.is_unique for rows in seen)


def test_a_gathered_part_is_sorted_by_track_and_keeps_the_order_within(workspace):
    for part in ([("c", 0.0), ("a", 0.0), ("a", 9.0)], [("b", 5.0), ("b", 2.0)]):
        rows = [{"track_id": track_id, "start_s": start_s, "embedding": [1.0]} for track_id, start_s in part]
        tables.append(workspace, "embeddings", rows, part[0][0])
        tables.append(workspace, "voices", [{"track_id": part[0][0], "embedding": [1.0]}], part[0][0])
    gather(workspace)
    found = tables.read(workspace, "embeddings")
    assert found["track_id"].tolist() == ["a", "a", "b", "b", "c"]
    assert found["start_s"].tolist() == [0.0, 9.0, 5.0, 2.0, 0.0]


def test_large_parts_have_a_limit_and_failures_are_gathered_by_stage(workspace, monkeypatch):
    append(workspace, *"abcdefgh")
    monkeypatch.setattr(module, "PART_BYTES", sum(workspace.list_all(tables.WAITING).values()) // 3)
    for stage in ("scan", "separate"):
        for key in "xy":
            tables.append(workspace, "failures", [{"stage": stage, "key": key}], f"{stage}-{key}")
    gather(workspace)
    assert 1 < len(names(workspace)) < 8
    assert len(tables.read(workspace, "vocals")) == 8
    assert len(names(workspace, "failures")) == 2
    provenance.forget_failures(workspace, "scan")
    assert tables.read(workspace, "failures")["stage"].tolist() == ["separate"] * 2


@pytest.mark.parametrize("full", [1, 100])
@pytest.mark.parametrize("done", ["not yet", "already"])
def test_gathering_that_is_killed_at_any_step_continues(workspace, monkeypatch, full, done):
    monkeypatch.setattr(module, "FULL_ROWS", full)
    monkeypatch.setattr(module, "PART_BYTES", 1)
    expected, killed = ["0"], True
    append(workspace, "0")
    gather(workspace)
    for step in range(100):
        if not killed:
            break
        append(workspace, f"{step} a", f"{step} b")
        before, expected = expected, [*expected, f"{step} a", f"{step} b"]
        with monkeypatch.context() as patch:
            killed = kill(patch, step, done == "already")
            with contextlib.suppress(KeyboardInterrupt):
                gather(workspace)
                killed = False
        found = pd.read_parquet(workspace.path("vocals"))["track_id"]
        assert found.is_unique
        assert set(before) <= set(found) <= set(expected)
        assert set(tables.read(workspace, "vocals")["track_id"]) == set(expected)
        gather(workspace)
        assert sorted(pd.read_parquet(workspace.path("vocals"))["track_id"]) == sorted(expected)
        assert workspace.list_all(tables.WAITING) == {}
    assert step > 4


def kill(patch: pytest.MonkeyPatch, step: int, done: bool) -> bool:
    """Make the workspace stop at the change with this number, `done` or not yet done."""
    left = itertools.count(step, -1)

    def until_then(change):
        def changed(*arguments):
            now = next(left)
            if now or done:
                change(*arguments)
            if not now:
                raise KeyboardInterrupt

        return changed

    for name in ("write_bytes", "delete"):
        patch.setattr(Workspace, name, until_then(getattr(Workspace, name)))
    return True


def test_a_removal_that_was_killed_halfway_continues(workspace, monkeypatch):
    append(workspace, "a", "b")
    with monkeypatch.context() as patch:
        kill(patch, 3, done=False)
        with pytest.raises(KeyboardInterrupt):
            gather(workspace)
    workspace.delete(tables.waiting_name("vocals", "a"))
    for _ in range(2):
        assert sorted(tables.read(workspace, "vocals")["track_id"]) == ["a", "b"]
        gather(workspace)
    assert workspace.list_all(tables.WAITING) == {}


def test_embeddings_whose_voices_were_not_written_are_discarded(workspace):
    for part in ("whole", "broken off"):
        tables.append(workspace, "embeddings", [{"clip_id": part, "embedding": [1.0]}], part)
    tables.append(workspace, "voices", [{"track_id": "t", "embedding": [1.0]}], "whole")
    gather(workspace)
    assert tables.read(workspace, "embeddings")["clip_id"].tolist() == ["whole"]


def test_gathering_takes_two_requests_per_part(object_store):
    workspace = Workspace(object_store.bucket())
    append(workspace, "grows")
    gather(workspace)
    counts = []
    for n in (10, 40):
        append(workspace, *(f"{n}-{i}" for i in range(n)))
        object_store.forget()
        gather(workspace)
        counts.append(sum(object_store.kinds().values()))
    assert counts[1] - counts[0] == 2 * 30
    assert counts[0] - 2 * 10 < 30
    assert len(tables.read(workspace, "vocals")) == 51
