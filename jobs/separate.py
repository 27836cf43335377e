"""Isolate the vocals of each track: `vocals/` and `vocals_audio/`."""

import sys

from jobs import engine
from pipeline import separators
from pipeline.stages import separate

STAGE = engine.Stage(
    name="separate",
    about="Isolate the vocals of each track.",
    needs={"tracks": "scan"},
    check=lambda config: separators.check(config.separate.separator),
    work=engine.Pool(separate.SeparateWorker, separate.pending, settings=lambda config: (config.separate,)),
)

if __name__ == "__main__":
    sys.exit(engine.main(STAGE))
