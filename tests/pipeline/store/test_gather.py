from pathlib import Path

import pandas as pd
import pytest

from pipeline.store import gather as module
from pipeline.store import provenance, tables
from pipeline.store.gather import gather
from pipeline.store.workspace import Workspace


def append(workspace: Workspace, *track_ids: str) -> None:
    for track_id in track_ids:
        tables.append(workspace, "vocals", [{"track_id": track_id}], track_id)


def names(workspace: Workspace, table: str = "vocals") -> list[str]:
    return sorted(path.name for path in Path(workspace.path(table)).glob("*"))


def test_small_parts_become_few_and_no_row_is_lost_or_doubled(workspace):
    append(workspace, "a", "b", "c")
    assert sorted(tables.read(workspace, "vocals")["track_id"]) == ["a", "b", "c"]
    gather(workspace)
    append(workspace, "d")
    assert sorted(tables.read(workspace, "vocals")["track_id"]) == ["a", "b", "c", "d"]
    gather(workspace)
    gather(workspace)
    assert sorted(pd.read_parquet(workspace.path("vocals"))["track_id"]) == ["a", "b", "c", "d"]
    assert len(names(workspace)) == 2
    assert workspace.list_all(tables.WAITING) == {}


def test_a_gathered_part_is_sorted_by_track_and_keeps_the_order_within(workspace):
    for part in ([("c", 0.0), ("a", 0.0), ("a", 9.0)], [("b", 5.0), ("b", 2.0)]):
        rows = [{"track_id": track_id, "start_s": start_s, "embedding": [1.0]} for track_id, start_s in part]
        tables.append(workspace, "embeddings", rows, part[0][0])
        tables.append(workspace, "voices", [{"track_id": part[0][0], "embedding": [1.0]}], part[0][0])
    gather(workspace)
    found = tables.read(workspace, "embeddings")
    assert found["track_id"].tolist() == ["a", "a", "b", "b", "c"]
    assert found["start_s"].tolist() == [0.0, 9.0, 5.0, 2.0, 0.0]


def test_large_parts_have_a_limit_and_failures_stay_their_stages(workspace, monkeypatch):
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


@pytest.mark.parametrize("last", ["a large part", "the mark", "half of the removal"])
def test_gathering_that_was_interrupted_is_gone_on_with(workspace, monkeypatch, last):
    append(workspace, "a", "b")
    with monkeypatch.context() as patch:

        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        if last == "a large part":
            patch.setattr(
                Workspace,
                "write_bytes",
                lambda self, name, data, write=Workspace.write_bytes: (
                    stop() if name.endswith(".gathered") else write(self, name, data)
                ),
            )
        else:
            patch.setattr(Workspace, "delete", stop)
        with pytest.raises(KeyboardInterrupt):
            gather(workspace)
    if last == "half of the removal":
        workspace.delete(tables.waiting_name("vocals", "a"))
    if last != "a large part":
        assert sorted(tables.read(workspace, "vocals")["track_id"]) == ["a", "b"]
    gather(workspace)
    assert sorted(tables.read(workspace, "vocals")["track_id"]) == ["a", "b"]
    assert workspace.list_all(tables.WAITING) == {}


def test_embeddings_whose_voices_were_not_written_are_left_to_be_made_again(workspace):
    for part in ("whole", "broken off"):
        tables.append(workspace, "embeddings", [{"clip_id": part, "embedding": [1.0]}], part)
    tables.append(workspace, "voices", [{"track_id": "t", "embedding": [1.0]}], "whole")
    gather(workspace)
    assert tables.read(workspace, "embeddings")["clip_id"].tolist() == ["whole"]


def test_what_it_asks_of_a_store_is_two_requests_a_part(object_store):
    workspace = Workspace(object_store.bucket())
    counts = []
    for n in (10, 40):
        append(workspace, *(f"{n}-{i}" for i in range(n)))
        object_store.forget()
        gather(workspace)
        counts.append(sum(object_store.kinds().values()))
    assert counts[1] - counts[0] == 2 * 30
    assert len(tables.read(workspace, "vocals")) == 50
