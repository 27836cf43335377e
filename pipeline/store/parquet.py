"""One Parquet file: writing its rows, and reading those of some tracks without the others."""

import io
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROW_GROUP = {"audio": 64, "embedding": 5000}  # rows per row group of a table with such a large column
MADE_OF = b"vocatlas.made_of"


def parquet(table: pa.Table) -> pa.Buffer:
    """Return a table as a Parquet file's bytes."""
    sink = io.BytesIO()
    large = next((name for name in ROW_GROUP if name in table.column_names), "")
    pq.write_table(table, sink, compression="zstd", row_group_size=ROW_GROUP.get(large, 100_000))
    return pa.py_buffer(sink.getvalue())


def read(source: pa.NativeFile, columns: Sequence[str] | None = None, track_ids: np.ndarray | None = None) -> pa.Table:
    """Return a file's rows, with those of the named columns that it has.

    Args:
        source: the open file.
        columns: to read; all if not given.
        track_ids: (k,) str, sorted: the tracks whose rows to return; all if not given. Row groups without any of them
            are not read.
    """
    file = pq.ParquetFile(source)
    there = [name for name in columns or file.schema_arrow.names if name in file.schema_arrow.names]
    if track_ids is None:
        return file.read(columns=there)
    found = file.read_row_groups(row_groups(file.metadata, track_ids), columns=there)
    return found.filter(pc.is_in(found["track_id"], pa.array(track_ids.tolist(), pa.string())))


def row_groups(file: pq.FileMetaData, track_ids: np.ndarray) -> list[int]:
    """Return the row groups that may contain one of the sorted `track_ids (k,)`, by their smallest and largest id."""
    column = next(i for i in range(file.num_columns) if file.schema.column(i).path == "track_id")
    found = []
    for group in range(file.num_row_groups):
        told = file.row_group(group).column(column).statistics
        known = told is not None and told.has_min_max
        following = track_ids[np.searchsorted(track_ids, told.min) :] if known else track_ids
        if len(following) and (not known or following[0] <= told.max):
            found.append(group)
    return found


def marked(table: pa.Table, made_of: str) -> pa.Table:
    """Return a table with a mark that identifies what it was made of."""
    return table.replace_schema_metadata({MADE_OF: made_of} if made_of else None)


def mark(source: pa.NativeFile) -> str:
    """Return the mark of what a file was made of; "" if it has none."""
    return (pq.read_schema(source).metadata or {}).get(MADE_OF, b"").decode()
