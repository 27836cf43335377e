"""Stages that run in this process, one worker each and without Ray, so that their time can be measured."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from jobs import run as chain
from jobs.bench.table import clock
from jobs.running import Run
from pipeline.config import Config
from pipeline.sections import Compute


class Here(Run):
    """A run whose workers are in this process.

    Attributes:
        loading: what creating the worker took, by `clock`.
    """

    loading = np.zeros(2)

    def map(
        self, worker: Callable[..., Any], rows: pa.Table, compute: Compute, *, skipped: int = 0, arguments: tuple = ()
    ) -> None:
        """Do the rows."""
        if not len(rows):
            return
        started = clock()
        doing = worker(*arguments)
        self.loading = clock() - started
        for start in range(0, len(rows), compute.batch):
            doing(rows.slice(start, compute.batch))
        if hasattr(doing, "decoder"):
            doing.decoder.close()  # the processor time of a child process counts once it has ended

    def say(self, text: str) -> None:
        """Print nothing: a benchmark's output is Markdown."""


def run_here(config: Config, stages: Sequence[str]) -> dict[str, np.ndarray]:
    """Run stages, and return what each took by `clock`, without loading its networks."""
    spent = {}
    for name in stages:
        started = clock()
        stage = chain.STAGES[name]
        run = Here(name, config, stage.unit, stage.given)
        stage.work(config, run)
        spent[name] = clock() - started - run.loading
    return spent
