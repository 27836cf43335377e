"""Isolate the vocals of each track: `vocals/` and `vocals_audio/`."""

import sys

from jobs import engine
from pipeline import separators
from pipeline.config import Config
from pipeline.stages import separate
from pipeline.store import provenance


def run(config: Config, run: engine.Run) -> None:
    """Isolate the vocals of each track."""
    engine.need(run.workspace, "tracks", "scan")
    separators.check(config.separate.separator)
    provenance.claim(run.workspace, config, "separate")
    todo, done = separate.pending(run.workspace)
    run.map(separate.SeparateWorker, todo, config.separate.compute, skipped=done)


if __name__ == "__main__":
    sys.exit(engine.main("separate", run))
