"""Cut the isolated vocals into voiced clips: `clips/`."""

import sys

from jobs import engine
from jobs.running import counted
from pipeline import separators
from pipeline.config import Config
from pipeline.stages import shard
from pipeline.store import tables
from pipeline.store.errors import ConfigError


def check(config: Config) -> None:
    """Check that the separator is available, if clips are also separated from mixes with other music.

    Raises:
        ConfigError: its weights are missing, or the vocals, with which later tracks would be paired, are not kept.
    """
    if config.shard.pairs:
        if not config.keep_vocals:
            raise ConfigError("keep_vocals=false with shard.pairs=true: pairs are made of other tracks' vocals")
        separators.check(config.separate.separator)


CUT = engine.Pool(
    shard.ShardWorker,
    shard.pending,
    settings=lambda config: (config.shard, config.separate, config.seed),
    note=lambda workspace, decided: counted(len(tables.parts(workspace, "clips")), "shard"),
)


def work(config: Config, run: engine.Run) -> None:
    """Cut the clips of the pending tracks, and remove the vocals if they are not to be kept."""
    CUT(config, run)
    if not config.keep_vocals:
        run.note += f", the vocals of {counted(shard.forget_vocals(run.workspace), 'track')} removed"


STAGE = engine.Stage(
    name="shard",
    about="Cut the isolated vocals into voiced clips and pack them into shards.",
    needs={"vocals": "separate"},
    check=check,
    work=work,
)

if __name__ == "__main__":
    sys.exit(engine.main(STAGE))
