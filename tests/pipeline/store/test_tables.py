import os
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest

from pipeline.store import tables
from pipeline.store.schemas import SCHEMAS
from pipeline.store.workspace import Workspace


@pytest.fixture
def three_voices(workspace: Workspace) -> Workspace:
    """Return a workspace with two parts of `voices/`, while a third is being written."""
    for part, (track_id, vector) in enumerate([("a", [1, 0, 0, 0]), ("b", [0.6, 0.8, 0, 0]), ("c", [0, 0, 1, 0])]):
        tables.write(workspace, "voices", [{"track_id": track_id, "embedding": vector}], str(part))
    return workspace


def test_pandas_polars_and_duckdb_read_a_folder_while_it_is_written_to(three_voices: Workspace):
    folder = three_voices.path("voices")
    with three_voices._publish("voices/part-3.parquet") as unfinished:
        Path(unfinished).write_bytes(b"PAR1")
        for frame in (
            pd.read_parquet(folder),
            pl.read_parquet(folder).to_pandas(),
            duckdb.sql(f"FROM '{folder}/*.parquet'").df(),
        ):
            assert sorted(frame["track_id"]) == ["a", "b", "c"]
            assert list(frame.columns) == SCHEMAS["voices"].names
        Path(unfinished).write_bytes(Path(folder, "part-0.parquet").read_bytes())
    assert len(tables.read(three_voices, "voices")) == 4


def test_duckdb_compares_embeddings(three_voices: Workspace):
    found = duckdb.sql(f"""
        SELECT b.track_id, array_cosine_similarity(a.embedding::FLOAT[4], b.embedding::FLOAT[4]) AS similarity
        FROM '{three_voices.path("voices")}/*.parquet' a, '{three_voices.path("voices")}/*.parquet' b
        WHERE a.track_id = 'a' ORDER BY similarity DESC""").fetchall()
    assert found == [("a", 1.0), ("b", pytest.approx(0.6)), ("c", 0.0)]


def test_a_part_written_again_replaces_itself(workspace: Workspace):
    for ratio in (0.1, 0.2):
        tables.write(workspace, "vocals", [{"track_id": "a", "vocal_ratio": ratio}], "same")
    assert tables.read(workspace, "vocals")["vocal_ratio"].tolist() == [0.2]


def test_rows_of_a_whole_table_are_added_in_place_of_stale_ones(workspace: Workspace):
    for run, status in (("a", "started"), ("a", "ok"), ("b", "started")):
        row = {"run_id": run, "status": status}
        tables.amend(workspace, "runs", [row], lambda rows, run=run: pc.equal(rows["run_id"], run))
    found = pd.read_parquet(workspace.path("runs"))
    assert found[["run_id", "status"]].to_numpy().tolist() == [["a", "ok"], ["b", "started"]]
    assert len(tables.parts(workspace, "runs")) == 1


def test_a_whole_table_of_an_earlier_version_is_added_to(workspace: Workspace):
    old = tables.to_arrow("runs", [{"run_id": "old", "done": 3}]).drop_columns(["unit"])
    workspace.write_bytes(f"runs/{tables.WHOLE}", tables.parquet(old))
    tables.amend(workspace, "runs", [{"run_id": "new", "unit": "file"}], lambda rows: pc.equal(rows["run_id"], "new"))
    assert tables.read(workspace, "runs")["unit"].fillna("unknown").tolist() == ["unknown", "file"]


def test_replace_keeps_only_the_new_rows(workspace: Workspace):
    tables.replace(workspace, "clusters", [{"track_id": "a", "cluster_id": 1}, {"track_id": "b", "cluster_id": -1}])
    tables.replace(workspace, "clusters", [{"track_id": "c", "cluster_id": 0}])
    assert tables.read(workspace, "clusters")["track_id"].tolist() == ["c"]


def test_only_the_rows_of_some_tracks_are_read(workspace: Workspace):
    for part in ("abc", "bd"):
        tables.write(workspace, "vocals", [{"track_id": track_id} for track_id in part], part)
    found = tables.iter_arrow(workspace, "vocals", ["track_id"], {"b", "c", "none"})
    assert [part["track_id"].to_pylist() for part in found] == [["b", "c"], ["b"]]


def test_a_whole_table_contains_a_mark_of_what_it_was_made_from(workspace: Workspace):
    assert tables.made_of(workspace, "tags") == ""
    for made_of in ("this", ""):
        tables.replace(workspace, "tags", [{"track_id": "a"}], made_of)
        assert tables.made_of(workspace, "tags") == made_of


def test_embeddings_come_back_as_one_array(workspace: Workspace):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(5, 8)).astype(np.float32)
    rows = [
        {"clip_id": f"c{i}", "track_id": "t", "encoder_id": "e", "embedding": v.tolist()} for i, v in enumerate(vectors)
    ]
    tables.write(workspace, "embeddings", rows[:2], "a")
    tables.write(workspace, "embeddings", rows[2:], "b")
    frame, found = tables.read_embeddings(workspace.root)
    assert frame["clip_id"].tolist() == ["c0", "c1", "c2", "c3", "c4"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, vectors)
    field = ds.dataset(workspace.path("embeddings")).schema.field("embedding")
    assert str(field.type) == "fixed_size_list<element: float>[8]" or field.type.list_size == 8


def test_a_missing_table_is_an_empty_one_with_its_columns(workspace: Workspace):
    frame = tables.read(workspace, "tags")
    assert len(frame) == 0
    assert "vocalist" in frame.columns
    found, vectors = tables.read_voices(workspace)
    assert len(found) == 0
    assert vectors.shape == (0, 0)
    assert tables.keys(workspace, "clips", "track_id") == set()


def test_a_frame_without_rows_is_an_empty_table(workspace: Workspace):
    tables.replace(workspace, "review", pd.DataFrame({"track_id": [], "candidates": np.array([], float)}))
    assert tables.read_arrow(workspace, "review").schema == SCHEMAS["review"]


def test_an_unknown_column_is_refused(workspace: Workspace):
    with pytest.raises(KeyError, match="tags has no column vocallist"):
        tables.write(workspace, "tags", [{"vocallist": "x"}], "p")


def test_rows_may_have_different_columns(workspace: Workspace):
    tables.write(workspace, "failures", [{"stage": "scan", "key": "k"}, {"stage": "shard", "track_id": "t"}], "p")
    frame = tables.read(workspace, "failures")
    assert frame["track_id"].tolist()[1] == "t"
    assert frame["track_id"].isna().tolist() == [True, False]


def test_a_part_older_than_a_column_has_nulls_there(workspace: Workspace):
    old = tables.to_arrow("runs", [{"stage": "scan", "done": 3}]).drop_columns(["unit"])
    workspace.write_bytes("runs/part-old.parquet", tables.parquet(old))
    assert tables.read(workspace, "runs", ["done", "unit"]).isna().to_numpy().tolist() == [[False, True]]
    tables.write(workspace, "runs", [{"stage": "scan", "unit": "files"}], "new")
    assert set(tables.read(workspace, "runs")["unit"].dropna()) == {"files"}
    assert tables.read(workspace, "runs").columns.tolist() == SCHEMAS["runs"].names


def test_failed_keys_are_those_of_the_stage(workspace: Workspace):
    tables.write(workspace, "failures", [{"stage": "scan", "key": "k1"}, {"stage": "shard", "key": "k2"}], "p")
    assert tables.failed_keys(workspace, "scan") == {"k1"}
    assert tables.failed_keys(workspace, "embed") == set()


def test_times_are_read_without_a_time_zone_database_on_the_system():
    code = "import pyarrow as pa; from pipeline.store.schemas import TIME; print(pa.array([0], TIME).to_pylist()[0])"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONTZPATH": ""}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1970-01-01 00:00:00+00:00\n"
