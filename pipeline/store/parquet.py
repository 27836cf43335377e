"""Parquet files: the only code of the pipeline that reads and writes them.

`read` returns a whole file or the rows of some tracks, `row_groups` yields one group of rows after the other, and
`select` returns the rows of many files that meet a condition. All of them read in threads.
"""

import io
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as pafs
import pyarrow.parquet as pq

ROW_GROUP = {"audio": 64, "embedding": 5000}  # rows per row group of a table with such a large column
MADE_OF = b"vocatlas.made_of"


def parquet(table: pa.Table, row_group: int | None = None, compression: str = "zstd") -> pa.Buffer:
    """Return a table as a Parquet file's bytes.

    Args:
        table: to write.
        row_group: rows in a row group; if not given, it depends on the columns.
        compression: of the columns; `none` for content that is compressed already.
    """
    sink = io.BytesIO()
    large = next((name for name in ROW_GROUP if name in table.column_names), "")
    pq.write_table(
        table,
        sink,
        compression=compression,
        row_group_size=row_group or ROW_GROUP.get(large, 100_000),
        use_dictionary=[name for name in table.column_names if name != large],  # no two values of a large one are equal
    )
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
    there = _present(file, columns)
    if track_ids is None:
        return file.read(columns=there)
    found = file.read_row_groups(groups_of(file.metadata, track_ids), columns=there)
    return found.filter(pc.is_in(found["track_id"], pa.array(track_ids.tolist(), pa.string())))


def row_groups(source: pa.NativeFile | str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yield a file's rows group by group, in the memory of one, with those of the named columns that it has.

    Args:
        source: the open file, or the path of a local one.
        columns: to read; all if not given.
    """
    with pq.ParquetFile(source) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=_present(file, columns))


def select(
    fs: pafs.FileSystem, paths: Sequence[str], schema: pa.Schema, columns: Sequence[str], where: pc.Expression | None
) -> pa.Table:
    """Return the rows of files for which a condition holds; they are filtered in threads while they are read.

    Args:
        fs: the filesystem of the files.
        paths: of the files.
        schema: of all files.
        columns: to read.
        where: the condition; None for all rows.
    """
    if not paths:
        return schema.empty_table().select(list(columns))
    found = ds.dataset(list(paths), schema=schema, format="parquet", filesystem=fs)
    return found.to_table(columns=list(columns), filter=where)


def count(source: pa.NativeFile) -> int:
    """Return how many rows a file has."""
    return pq.read_metadata(source).num_rows


def _present(file: pq.ParquetFile, columns: Sequence[str] | None) -> list[str] | None:
    return None if columns is None else [name for name in columns if name in file.schema_arrow.names]


def groups_of(file: pq.FileMetaData, track_ids: np.ndarray) -> list[int]:
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
