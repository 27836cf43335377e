"""Cut the isolated vocals into voiced clips: `clips/`."""

import sys

from jobs import engine
from jobs.running import counted
from pipeline import separators
from pipeline.config import Config
from pipeline.stages import shard
from pipeline.store import tables


def check(config: Config) -> None:
    """Look for the separator, where clips are to be separated from other music too.

    Raises:
        ConfigError: its weights cannot be had.
    """
    if config.shard.pairs:
        separators.check(config.separate.separator)


STAGE = engine.Stage(
    name="shard",
    about="Cut the isolated vocals into voiced clips and pack them into shards.",
    needs={"vocals": "separate"},
    check=check,
    work=engine.Pool(
        shard.ShardWorker,
        shard.pending,
        settings=lambda config: (config.shard, config.separate, config.seed),
        note=lambda workspace, decided: counted(len(tables.parts(workspace, "clips")), "shard"),
    ),
)

if __name__ == "__main__":
    sys.exit(engine.main(STAGE))
