"""The Ray entry points: one thin module per stage, `python -m jobs.<stage> CONFIG [section.key=value ...]`."""

import os
import sys
from types import TracebackType

INTERRUPTED = "interrupted: the same command continues where this one stopped"
INTERRUPTED_STATUS = 130


def _say_interrupted(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Report Ctrl-C in one line while a command's modules are still loading, which takes seconds."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    print(INTERRUPTED, file=sys.stderr, flush=True)
    os._exit(INTERRUPTED_STATUS)


sys.excepthook = _say_interrupted
