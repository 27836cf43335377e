"""Merge the many small parts that the workers of a stage wrote into a few large ones.

Reading a part from an object store takes a request, so the tables of a million tracks must not have a hundred thousand
parts. Gathering can be interrupted at any time: large parts are named after their content, so that the same small parts
give the same names again, and a mark says when all waiting parts are in them. It runs before and after a stage, when
nothing else writes.
"""

import pyarrow as pa

from pipeline.store import tables
from pipeline.store.ledger import batch_name
from pipeline.store.parquet import parquet, read
from pipeline.store.workspace import Workspace

PART_BYTES = 128e6  # of a gathered part, about
LAST_OF = {"embeddings": "voices"}  # a part of the first table counts once the second has a part of that name


def gather(workspace: Workspace) -> None:
    """Gather all waiting parts.

    Raises:
        WorkspaceError: the workspace cannot be written.
    """
    found = workspace.list_all(tables.WAITING)
    for table in tables.GATHERED:
        sizes = {name: size for name, size in found.items() if name.startswith(f"{tables.WAITING}/{table}/")}
        mark = tables.gathered_mark(table)
        if not sizes and mark not in found:
            continue
        if mark not in found:
            for group in _groups(_counting(table, sizes, found)):
                _merge(workspace, table, group)
            workspace.write_bytes(mark, b"")
        workspace.delete(f"{tables.WAITING}/{table}")
        workspace.delete(mark)


def _counting(table: str, sizes: dict[str, int], found: dict[str, int]) -> dict[str, int]:
    """Return the parts without those of unfinished items, which will be written again."""
    last = LAST_OF.get(table, table)
    return {name: size for name, size in sizes.items() if name.replace(f"/{table}/", f"/{last}/") in found}


def _groups(sizes: dict[str, int]) -> list[list[str]]:
    """Divide the sorted parts into groups of `PART_BYTES` with one prefix, so that a stage's failures stay together."""
    groups: list[list[str]] = []
    held, kind = 0.0, ""
    for name in sorted(sizes):
        if not groups or held + sizes[name] > PART_BYTES or _kind(name) != kind:
            groups.append([])
            held, kind = 0.0, _kind(name)
        groups[-1].append(name)
        held += sizes[name]
    return groups


def _kind(name: str) -> str:
    return name.rpartition("/")[2].rpartition("-")[0]


def _merge(workspace: Workspace, table: str, names: list[str]) -> None:
    merged = pa.concat_tables(
        [read(pa.BufferReader(workspace.read_bytes(name))) for name in names], promote_options="permissive"
    ).sort_by("track_id")  # stable, and so that reading some tracks reads few row groups
    workspace.write_bytes(f"{table}/{_kind(names[0])}-{batch_name(names)}.parquet", parquet(merged))
