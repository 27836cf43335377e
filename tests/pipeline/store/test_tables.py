import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pytest

from pipeline.store import tables
from pipeline.store.workspace import Workspace


def test_pandas_reads_a_table_with_nothing_of_ours(workspace: Workspace):
    tables.write(workspace, "vocals", [{"track_id": "a", "vocal_ratio": 0.5}], "one")
    tables.write(workspace, "vocals", [{"track_id": "b", "has_vocals": False}], "two")
    workspace.write_bytes("vocals/_config.yaml", b"separator: spleeter")
    frame = pd.read_parquet(workspace.path("vocals"))
    assert sorted(frame["track_id"]) == ["a", "b"]
    assert list(frame.columns) == tables.SCHEMAS["vocals"].names


def test_a_part_written_again_replaces_itself(workspace: Workspace):
    for ratio in (0.1, 0.2):
        tables.write(workspace, "vocals", [{"track_id": "a", "vocal_ratio": ratio}], "same")
    assert tables.read(workspace, "vocals")["vocal_ratio"].tolist() == [0.2]


def test_replace_keeps_only_the_new_rows(workspace: Workspace):
    tables.replace(workspace, "clusters", [{"track_id": "a", "cluster_id": 1}, {"track_id": "b", "cluster_id": -1}])
    tables.replace(workspace, "clusters", [{"track_id": "c", "cluster_id": 0}])
    assert tables.read(workspace, "clusters")["track_id"].tolist() == ["c"]


def test_embeddings_come_back_as_one_array(workspace: Workspace):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(5, 8)).astype(np.float32)
    rows = [{"clip_id": f"c{i}", "track_id": "t", "encoder_id": "e", "embedding": v.tolist()}
            for i, v in enumerate(vectors)]
    tables.write(workspace, "embeddings", rows[:2], "a")
    tables.write(workspace, "embeddings", rows[2:], "b")
    frame, found = tables.read_embeddings(workspace.root)
    assert frame["clip_id"].tolist() == ["c0", "c1", "c2", "c3", "c4"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, vectors)
    field = ds.dataset(workspace.path("embeddings")).schema.field("embedding")
    assert str(field.type) == "fixed_size_list<element: float>[8]" or field.type.list_size == 8


def test_an_absent_table_is_an_empty_one_with_its_columns(workspace: Workspace):
    frame = tables.read(workspace, "tags")
    assert len(frame) == 0
    assert "vocalist" in frame.columns
    found, vectors = tables.read_voices(workspace)
    assert len(found) == 0
    assert vectors.shape == (0, 0)
    assert tables.keys(workspace, "clips", "track_id") == set()


def test_an_unknown_column_is_refused(workspace: Workspace):
    with pytest.raises(KeyError, match="tags has no column vocallist"):
        tables.write(workspace, "tags", [{"vocallist": "x"}], "p")


def test_rows_may_differ_in_what_they_know(workspace: Workspace):
    tables.write(workspace, "failures", [{"stage": "scan", "key": "k"}, {"stage": "shard", "track_id": "t"}], "p")
    frame = tables.read(workspace, "failures")
    assert frame["track_id"].tolist()[1] == "t"
    assert frame["track_id"].isna().tolist() == [True, False]


def test_failed_keys_are_those_of_the_stage(workspace: Workspace):
    tables.write(workspace, "failures", [{"stage": "scan", "key": "k1"}, {"stage": "shard", "key": "k2"}], "p")
    assert tables.failed_keys(workspace, "scan") == {"k1"}
    assert tables.failed_keys(workspace, "embed") == set()
