from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import LocalFileSystem

from pipeline.store import parquet


@pytest.mark.parametrize(("wanted", "groups"), [(["07", "55", "none"], [1, 11]), (["none"], []), ([], [])])
def test_the_rows_of_some_tracks_are_read_without_the_others(monkeypatch, wanted, groups):
    monkeypatch.setitem(parquet.ROW_GROUP, "embedding", 10)
    track_id = [f"{i:02d}" for i in range(100) for _ in range(2)]
    data = parquet.parquet(pa.table({"track_id": track_id, "embedding": [[1.0]] * 200}))
    track_ids = np.array(wanted, str)
    assert parquet.groups_of(pq.read_metadata(pa.BufferReader(data)), track_ids) == groups
    found = parquet.read(pa.BufferReader(data), ["track_id", "elsewhere"], track_ids)
    assert found.to_pydict() == {"track_id": [name for name in wanted if name != "none" for _ in range(2)]}


def test_row_groups_without_statistics_are_read():
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"track_id": ["a", "b"]}), sink, write_statistics=False)
    found = parquet.read(pa.BufferReader(sink.getvalue()), None, np.array(["b"]))
    assert found["track_id"].to_pylist() == ["b"]


def test_a_file_is_read_group_by_group(tmp_path):
    data = parquet.parquet(pa.table({"track_id": list("abcde"), "n": range(5)}), row_group=2)
    (tmp_path / "a.parquet").write_bytes(data)
    for source in (str(tmp_path / "a.parquet"), pa.BufferReader(data)):
        groups = list(parquet.row_groups(source, ["n", "elsewhere"]))
        assert [group.to_pydict() for group in groups] == [{"n": [0, 1]}, {"n": [2, 3]}, {"n": [4]}]
    assert parquet.count(pa.BufferReader(data)) == 5


def test_rows_of_many_files_are_selected(tmp_path):
    paths = [str(tmp_path / f"{i}.parquet") for i in range(3)]
    schema = pa.schema([("track_id", pa.string()), ("n", pa.int64())])
    for i, path in enumerate(paths):
        Path(path).write_bytes(parquet.parquet(pa.table({"track_id": ["a", "b"], "n": [i, 10 + i]}, schema=schema)))
    fs = LocalFileSystem()
    assert parquet.select(fs, paths, schema, ["n"], pc.field("track_id") == "b")["n"].to_pylist() == [10, 11, 12]
    assert len(parquet.select(fs, paths, schema, ["n"], None)) == 6
    assert parquet.select(fs, [], schema, ["n"], None).schema.names == ["n"]


def test_a_mark_is_stored_in_the_file():
    table = pa.table({"track_id": ["a"]})
    for made_of in ("this", ""):
        assert parquet.mark(pa.BufferReader(parquet.parquet(parquet.marked(table, made_of)))) == made_of
