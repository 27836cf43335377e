"""Merge the many small parts that the workers of a stage wrote into a few large ones.

Reading a part from an object store takes a request, so the tables of a million tracks must not have a hundred thousand
parts. Many small runs must not leave a part each either: the last waiting rows are added to the part that is not full
yet, which is replaced in one step, while the others stay as they are; so a reader of the table's folder finds each row
once at any time. In the end all parts of a table but one (of a stage, in `failures/`) have `FULL_ROWS` rows, and a run
rewrites at most that many.

Gathering can be interrupted at any time. New parts are named after their content, so that the same waiting parts give
the same names again. A plan records which part grows, and that part gets a mark together with the waiting rows. Another
mark says when all waiting parts have been gathered. Gathering runs before and after a stage, when nothing else writes.
"""

import json

import pyarrow as pa

from pipeline.store import parquet, tables
from pipeline.store.ledger import batch_name
from pipeline.store.workspace import Workspace

PART_BYTES = 128e6  # of the waiting parts that are merged, about
FULL_ROWS = 20_000  # of a part that is full
LAST_OF = {"embeddings": "voices"}  # a part of the first table counts once the second has a part of that name

Plan = dict[str, tuple[str, str]]  # kind of parts -> the part that grows, and the mark that it then gets


def gather(workspace: Workspace) -> None:
    """Gather all waiting parts.

    Raises:
        WorkspaceError: the workspace cannot be written.
    """
    found = workspace.list_all(tables.WAITING)
    for table in tables.GATHERED:
        folder, mark = f"{tables.WAITING}/{table}", tables.gathered_mark(table)
        inside = {name: size for name, size in found.items() if name.startswith(f"{folder}/")}
        if not inside and mark not in found:
            continue
        if mark not in found:
            _gather(workspace, table, _counting(table, inside, found), f"{folder}/plan.json")
            workspace.write_bytes(mark, b"")
        workspace.delete(folder)
        workspace.delete(mark)


def _counting(table: str, inside: dict[str, int], found: dict[str, int]) -> dict[str, int]:
    """Return the parts without those of unfinished items, which will be written again."""
    last = LAST_OF.get(table, table)
    return {
        name: size
        for name, size in inside.items()
        if name.endswith(".parquet") and name.replace(f"/{table}/", f"/{last}/") in found
    }


def _gather(workspace: Workspace, table: str, sizes: dict[str, int], plan_name: str) -> None:
    """Put the waiting parts into large ones, the last of each kind into the part that grows."""
    kinds: dict[str, list[str]] = {}
    for name in sorted(sizes):
        kinds.setdefault(_kind(table, name), []).append(name)
    is_continued = workspace.exists(plan_name)
    if is_continued:
        plan: Plan = json.loads(workspace.read_bytes(plan_name))
    else:
        plan = _planned(workspace, table, kinds)
        workspace.write_bytes(plan_name, json.dumps(plan).encode())
    for kind, names in kinds.items():
        groups = _groups(names, sizes)
        if kind in plan:
            part, mark = plan[kind]
            last = groups.pop()
            if not (is_continued and _mark(workspace, part) == mark):
                _merge(workspace, [part, *last], part, mark)
        for group in groups:
            _merge(workspace, group, f"{table}/{kind}-{batch_name(group)}.parquet")


def _planned(workspace: Workspace, table: str, kinds: dict[str, list[str]]) -> Plan:
    """Choose the part that grows for each kind: the smallest, if it is not full."""
    there, plan = workspace.list_all(table), {}
    parts = sorted((size, name) for name, size in there.items() if name.endswith(".parquet"))
    for kind, names in kinds.items():
        smallest = next((name for _, name in parts if _kind(table, name) == kind), None)
        if smallest is None:
            continue
        with workspace.fs.open_input_file(workspace.path(smallest)) as source:
            n_rows = parquet.count(source)
        if n_rows < FULL_ROWS:
            plan[kind] = smallest, batch_name([_mark(workspace, smallest), *names])
    return plan


def _groups(names: list[str], sizes: dict[str, int]) -> list[list[str]]:
    """Divide the parts into groups of `PART_BYTES`."""
    groups: list[list[str]] = []
    held = 0.0
    for name in names:
        if not groups or held + sizes[name] > PART_BYTES:
            groups.append([])
            held = 0.0
        groups[-1].append(name)
        held += sizes[name]
    return groups


def _kind(table: str, name: str) -> str:
    """Return the prefix of a part's name: one for each stage in `failures/`, so that a stage's stay together."""
    return name.rpartition("/")[2].rpartition("-")[0] if table == "failures" else "part"


def _mark(workspace: Workspace, part: str) -> str:
    with workspace.fs.open_input_file(workspace.path(part)) as source:
        return parquet.mark(source)


def _merge(workspace: Workspace, names: list[str], into: str, mark: str = "") -> None:
    merged = pa.concat_tables(
        [parquet.read(pa.BufferReader(workspace.read_bytes(name))) for name in names], promote_options="permissive"
    ).sort_by("track_id")  # stable, and so that reading some tracks reads few row groups
    workspace.write_bytes(into, parquet.parquet(parquet.marked(merged, mark)))
