"""The only way to write and read tables, with the schemas in `pipeline.store.schemas`.

Append tables grow by part files, each complete and named after its content, so that writing one again replaces it and
never duplicates a row. The thousands of small parts that the workers of a stage write wait in `_in_work/parts/` and are
merged into a few large ones when the stage ends (see `pipeline.store.gather`); all functions here read both. Whole
tables are a single file that is replaced in one step, also to add rows to it. Any Parquet reader can open a table's
folder, since nothing else is in it (`pipeline.store.provenance` keeps the configs elsewhere).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.store.parquet import mark, marked, parquet
from pipeline.store.parquet import read as read_file
from pipeline.store.schemas import SCHEMAS, Rows, to_arrow
from pipeline.store.workspace import Workspace

WHOLE = "part-0.parquet"
GATHERED = ("files", "vocals", "shards", "embeddings", "voices", "failures")  # tables whose parts are small
WAITING = "_in_work/parts"


def write(workspace: Workspace, table: str, rows: Rows, part: str) -> None:
    """Write the rows as the part named `part` of an append table, replacing an existing part of that name."""
    workspace.write_bytes(part_name(table, part), parquet(to_arrow(table, rows)))


def append(workspace: Workspace, table: str, rows: Rows, part: str) -> None:
    """Write a worker's rows as `write` does; in tables with many small parts, the part is gathered later."""
    workspace.write_bytes(appended_name(table, part), parquet(to_arrow(table, rows)))


def drop(workspace: Workspace, table: str, part: str) -> None:
    """Remove an appended part, if it exists."""
    workspace.delete(appended_name(table, part))


def is_there(workspace: Workspace, table: str, part: str) -> bool:
    """Return whether an appended part exists."""
    return workspace.exists(appended_name(table, part))


def replace(workspace: Workspace, table: str, rows: Rows, made_of: str = "") -> None:
    """Replace the content of a whole table with these rows in one step.

    Args:
        workspace: with the table.
        table: to replace.
        rows: all rows of the table.
        made_of: a mark that identifies what they were made of, for `made_of` to return.
    """
    found = marked(to_arrow(table, rows), made_of)
    workspace.write_bytes(f"{table}/{WHOLE}", parquet(found))


def amend(
    workspace: Workspace,
    table: str,
    rows: Iterable[dict[str, Any]] | pd.DataFrame,
    stale: Callable[[pa.Table], pa.Array],
) -> None:
    """Add rows to a whole table, in place of those for which `stale` returns True, in one step."""
    name, found = f"{table}/{WHOLE}", to_arrow(table, rows)
    if workspace.exists(name):
        before = to_arrow(table, read_part(workspace, name))
        found = pa.concat_tables([before.filter(pc.invert(stale(before))), found])
    replace(workspace, table, found)


def made_of(workspace: Workspace, table: str) -> str:
    """Return the mark that identifies what a whole table was made of; "" if it has none, or does not exist."""
    if not workspace.exists(f"{table}/{WHOLE}"):
        return ""
    with workspace.fs.open_input_file(workspace.path(f"{table}/{WHOLE}")) as source:
        return mark(source)


def keep(workspace: Workspace, table: str, wanted: Callable[[pa.Table], np.ndarray]) -> int:
    """Keep the rows of an append table for which `wanted` returns True, part by part; return how many were dropped."""
    dropped = 0
    for name in parts(workspace, table):
        rows = read_part(workspace, name)
        kept = rows.filter(pa.array(wanted(rows), pa.bool_()))
        dropped += len(rows) - len(kept)
        if not len(kept):
            workspace.delete(name)
        elif len(kept) < len(rows):
            workspace.write_bytes(name, parquet(kept))
    return dropped


def part_name(table: str, part: str) -> str:
    """Return the name in the workspace of one part of a table."""
    return f"{table}/part-{part}.parquet"


def waiting_name(table: str, part: str) -> str:
    """Return the name in the workspace of a part of a table that waits to be gathered."""
    return f"{WAITING}/{part_name(table, part)}"


def appended_name(table: str, part: str) -> str:
    """Return the name in the workspace of a part that a worker appends."""
    return waiting_name(table, part) if table in GATHERED else part_name(table, part)


def parts(workspace: Workspace, table: str) -> list[str]:
    """Return the names of a table's part files, with the waiting ones last."""
    return workspace.list(table, suffix=".parquet") + waiting(workspace, table)


def waiting(workspace: Workspace, table: str) -> list[str]:
    """Return the names of the parts of a table that are not gathered yet."""
    found = workspace.list(f"{WAITING}/{table}", suffix=".parquet") if table in GATHERED else []
    return [] if found and workspace.exists(gathered_mark(table)) else found


def gathered_mark(table: str) -> str:
    """Return the name of the file that exists once all waiting parts have been gathered and can be removed."""
    return f"{WAITING}/{table}.gathered"


def remove(workspace: Workspace, table: str) -> None:
    """Remove all parts of a table."""
    for name in (table, f"{WAITING}/{table}") if table in GATHERED else (table,):
        workspace.delete(name)


def iter_arrow(
    workspace: Workspace,
    table: str,
    columns: Sequence[str] | None = None,
    track_ids: Collection[str] | None = None,
) -> Iterator[pa.Table]:
    """Yield a table part by part, in the memory of one part; columns that a part lacks are null.

    Args:
        workspace: with the table.
        table: to read.
        columns: to read; all if not given.
        track_ids: the tracks whose rows to yield, all if not given; what cannot contain them is not read.
    """
    of = None if track_ids is None else np.array(sorted(track_ids), str)
    wanted = SCHEMAS[table] if columns is None else pa.schema([SCHEMAS[table].field(name) for name in columns])
    for name in parts(workspace, table):
        found = read_part(workspace, name, wanted.names, of)
        for field in wanted:
            if field.name not in found.column_names:  # the part is older than the column
                found = found.append_column(field, pa.nulls(len(found), field.type))
        yield found.select(wanted.names)


def read_part(
    workspace: Workspace, name: str, columns: Sequence[str] | None = None, track_ids: np.ndarray | None = None
) -> pa.Table:
    """Return one part file, or only some columns, as far as it has them, or the rows of the sorted `track_ids (k,)`."""
    with workspace.fs.open_input_file(workspace.path(name)) as source:
        return read_file(source, columns, track_ids)


def read_arrow(workspace: Workspace, table: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Return all rows of a table, or only some columns; an empty table if nothing was written yet."""
    found = list(iter_arrow(workspace, table, columns))
    if found:
        return pa.concat_tables(found, promote_options="permissive")
    empty = SCHEMAS[table].empty_table()
    return empty.select(list(columns)) if columns else empty


def read(workspace: Workspace, table: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return a table as a pandas frame."""
    return read_arrow(workspace, table, columns).to_pandas()


def read_embeddings(workspace: Workspace | str, table: str = "embeddings") -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows of `embeddings` (or `voices`) without their vectors, and the vectors.

    Returns:
        `(frame, vectors)`: `vectors` is (n, d) float32, row for row; (0, 0) if there are none.
    """
    if isinstance(workspace, str):
        workspace = Workspace(workspace)
    found = read_arrow(workspace, table)
    frame = found.drop_columns(["embedding"]).to_pandas()
    return frame, vectors_of(found)


def vectors_of(rows: pa.Table) -> np.ndarray:
    """Return the column `embedding` as (n, d) float32; (0, 0) if there are no rows."""
    found = vector_chunks(rows)
    return found[0] if len(found) == 1 else np.concatenate(found or [np.zeros((0, 0), np.float32)])


def vector_chunks(rows: pa.Table) -> list[np.ndarray]:
    """Return the column `embedding` as arrays (n, d) float32, one for each piece in which it was read, not copied."""
    chunks = [chunk for chunk in rows["embedding"].chunks if len(chunk)]
    return [chunk.flatten().to_numpy().reshape(len(chunk), -1).astype(np.float32, copy=False) for chunk in chunks]


def read_voices(workspace: Workspace | str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the pooled vectors of the catalogue's present tracks: `(frame, vectors)` as `read_embeddings` does."""
    found = present_voices(Workspace(workspace) if isinstance(workspace, str) else workspace)
    return found.drop_columns(["embedding"]).to_pandas(), vectors_of(found)


def present_voices(workspace: Workspace, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of `voices` whose tracks are in the catalogue now, or only some columns; one is `track_id`.

    They stay in the pieces in which they were read, and all are returned if nothing was ever scanned.
    """
    found = read_arrow(workspace, "voices", columns)
    if not parts(workspace, "tracks"):
        return found
    there = pc.is_in(found["track_id"], read_arrow(workspace, "tracks", ["track_id"])["track_id"].combine_chunks())
    return found if pc.all(there).as_py() else found.filter(there)  # which copies all vectors


def present_tracks(workspace: Workspace) -> set[str] | None:
    """Return the ids of the tracks that are in the catalogue now; None if nothing was ever scanned."""
    return keys(workspace, "tracks", "track_id") if parts(workspace, "tracks") else None


def keys(workspace: Workspace, table: str, column: str) -> set[str]:
    """Return the distinct values of one column, read without the others."""
    found: set[str] = set()
    for chunk in iter_arrow(workspace, table, [column]):
        found.update(chunk[column].to_pylist())
    return found


def failed_keys(workspace: Workspace, stage: str) -> set[str]:
    """Return the keys of the items that failed in `stage`."""
    frame = read(workspace, "failures", ["stage", "key"])
    return set(frame.loc[frame["stage"] == stage, "key"])


def stage_parts(workspace: Workspace, stage: str) -> list[str]:
    """Return a stage's parts of `failures`."""
    return [name for name in parts(workspace, "failures") if name.rpartition("/")[2].startswith(f"part-{stage}-")]


def unsettled(workspace: Workspace, rows: pa.Table, table: str, stage: str) -> tuple[pa.Table, int]:
    """Return the rows whose track has neither a row of `table` nor a failure of `stage`, and the number of others."""
    settled = keys(workspace, table, "track_id") | failed_keys(workspace, stage)
    todo = rows.filter(pa.array([key not in settled for key in rows["track_id"].to_pylist()], pa.bool_()))
    return todo, len(rows) - len(todo)
