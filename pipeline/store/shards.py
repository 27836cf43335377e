"""The shard that holds each track's clips, without opening the shards."""

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.store import tables
from pipeline.store.workspace import Workspace


def contents(workspace: Workspace) -> pa.Table:
    """Return a row per track with clips: `track_id`, `shard` (the name of a file in `clips/`).

    A shard without rows in `shards/`, whose worker died before it wrote them, is opened.
    """
    rows = tables.read_arrow(workspace, "shards", ["track_id", "shard"])
    told = set(rows["shard"].to_pylist())
    there = [name.rpartition("/")[2] for name in tables.parts(workspace, "clips")]
    for shard in set(there) - told:
        track_ids = pc.unique(tables.read_part(workspace, f"clips/{shard}", ["track_id"])["track_id"])
        rows = pa.concat_tables([rows, pa.table({"track_id": track_ids, "shard": [shard] * len(track_ids)})])
    return rows.filter(pc.is_in(rows["shard"], pa.array(there, pa.string())))
