"""Cut the isolated vocals into voiced clips: `clips/`."""

import sys

from jobs import engine
from pipeline import separators
from pipeline.config import Config
from pipeline.stages import shard
from pipeline.store import provenance, tables


def run(config: Config, run: engine.Run) -> None:
    """Cut the isolated vocals into voiced clips and pack them into shards."""
    engine.need(run.workspace, "vocals", "separate")
    if config.shard.pairs:
        separators.check(config.separate.separator)
    provenance.claim(run.workspace, config, "shard")
    todo, done = shard.pending(run.workspace)
    run.map(shard.ShardWorker, todo, config.shard.compute, skipped=done)
    run.note = f"{len(tables.parts(run.workspace, 'clips'))} shards"


if __name__ == "__main__":
    sys.exit(engine.main("shard", run))
