"""One run of a stage: its pool of workers, its progress lines, and its record."""

import collections
import importlib.metadata
import json
import os
import platform
import socket
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import ray.data

from jobs.connect import lacking, placed, start_ray
from jobs.metrics import Metrics
from pipeline.config import Config
from pipeline.sections import Compute
from pipeline.store import tables
from pipeline.store.errors import DeviceLost, RunError, as_run_error
from pipeline.store.ledger import OUTCOMES
from pipeline.store.text import visible
from pipeline.store.workspace import Workspace

MAX_BLOCKS = 4000  # enough for an even load and steady progress; more would strain the scheduler
PROGRESS_S = 2.0
MAX_SAID = 5000  # characters of a line, which may contain names of files and people of any length
FATAL = "fatal"
STARTED, STOPPED = "started", "stopped"  # status of a run that has not finished
RECORDED = ("torch", "ray", "pyarrow", "demucs", "umap-learn", "faiss-cpu", "vocatlas")


class Run:
    """One stage of one catalogue run: what it did, skipped and failed, and how long it took.

    Attributes:
        unit, given: what the stage counts, and what its workers get, as singular nouns.
        done, failed: numbers of units.
        skipped, settled: numbers of what the workers get.
    """

    def __init__(self, stage: str, config: Config, unit: str = "track", given: str | None = None):
        self.stage, self.config, self.unit, self.given = stage, config, unit, given or unit
        self.workspace = Workspace(config.workspace)
        self.done = self.skipped = self.failed = self.settled = 0
        self.errors: collections.Counter[str] = collections.Counter()
        self.note = ""
        self.started_at, self._began = datetime.now(UTC), time.monotonic()
        self._id = uuid.uuid4().hex[:8]

    def say(self, text: str) -> None:
        """Print a line of progress at once."""
        print(f"{self.stage:>9}  {visible(text[:MAX_SAID])}", flush=True)

    def map(
        self, worker: Callable[..., Any], rows: pa.Table, compute: Compute, *, skipped: int = 0, arguments: tuple = ()
    ) -> None:
        """Send rows through a pool of workers and count their outcomes.

        Args:
            worker: a class: each actor creates `worker(*arguments)` once and calls it with batches of `rows`, for which
                it returns outcomes (see `pipeline.store.ledger`).
            skipped: how many items were done before, for the summary.
        """
        self.skipped += skipped
        total = len(rows)
        self.say(f"{counted(total, self.given)} to do" + (f", {skipped} done before" if skipped else ""))
        if not total:
            return
        start_ray(compute)
        outcomes = ray.data.from_arrow(_in_blocks(rows, compute.batch)).map_batches(
            Guarded,
            fn_constructor_args=(worker, *arguments),
            batch_size=compute.batch,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(min_size=compute.workers_min, max_size=compute.workers_max),
            num_cpus=compute.cpus,
            num_gpus=compute.gpus or None,
        )
        if told := lacking(compute):
            self.say(f"{told}; waiting for one")
        metrics = Metrics(self.stage)
        said, began = 0.0, time.monotonic()
        with placed(compute):
            for batch in outcomes.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                self._count(batch)
                metrics.count(batch, total - self.settled)
                if time.monotonic() - said > PROGRESS_S:
                    said = time.monotonic()
                    self.say(
                        _progress(self.settled, total, self.given, said - began)
                        + f"  {counted(self.failed, self.unit)} failed"
                    )

    def _count(self, outcomes: pa.Table) -> None:
        for row in outcomes.to_pylist():
            if row["status"] == FATAL:
                raise RunError(row["error"])
            self.settled += row["within"] is None
            if row["status"] == "failed":
                self.failed += row["n"]
                self.errors[row["error"]] += row["n"]
            else:
                self.done += row["n"]

    def record(self, status: str, message: str = "") -> None:
        """Write the run's row of `runs/`; a run whose process is killed keeps its first status."""
        row = {
            "run_id": self._id,
            "stage": self.stage,
            "started_at": self.started_at,
            "seconds": time.monotonic() - self._began,
            "status": status,
            "fingerprint": self.config.fingerprint(self.stage),
            "done": self.done,
            "unit": self.unit,
            "skipped": self.skipped,
            "failed": self.failed,
            "config": self.config.to_yaml(),
            "versions": json.dumps(_versions()),
            "host": socket.gethostname(),
            "message": message,
        }
        tables.amend(self.workspace, "runs", [row], lambda rows: pc.equal(rows["run_id"], self._id))

    def finish(self, status: str, message: str = "") -> int:
        """Record the end of the run, print its summary and return its exit status."""
        seconds = time.monotonic() - self._began
        worked = self.done + self.failed
        if status == "ok" and worked and self.failed / worked > self.config.max_failed_fraction:
            status = "too many failed"
        self.record(status, message or self.note)
        reasons = f" ({', '.join(f'{kind} {n}' for kind, n in self.errors.most_common())})" if self.errors else ""
        skipped = self.skipped if self.given == self.unit else counted(self.skipped, self.given)
        self.say(
            f"{counted(self.done, self.unit)} done, {skipped} skipped, {self.failed} failed{reasons}, "
            + _as_time(seconds)
            + (f"; {self.note}" if self.note else "")
        )
        if status == "too many failed":
            self.say(
                f"more than max_failed_fraction={self.config.max_failed_fraction:g} failed: "
                f"see {self.workspace.uri('failures')}"
            )
        return 0 if status == "ok" else 1


class Guarded:
    """A worker that returns a `RunError` as an outcome, since Ray would only pass on its text, inside a traceback."""

    def __init__(self, worker: Callable[..., Any], *arguments: Any):
        self.error: RunError | None = None
        try:
            self.worker = worker(*arguments)
        except (RunError, OSError, RuntimeError) as error:
            self.error = run_error(error)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return the worker's outcomes, or one that ends the run."""
        try:
            if self.error:
                raise self.error
            return self.worker(batch)
        except DeviceLost as error:
            print(f"error: {error}; another process continues", file=sys.stderr, flush=True)
            os._exit(1)  # the item in work is marked; Ray starts another process and sends the batch again
        except (RunError, OSError) as error:
            outcome = {"key": "", "status": FATAL, "error": str(run_error(error))}
            return pa.Table.from_pylist([outcome], schema=OUTCOMES)


def run_error(error: Exception) -> RunError:
    """Return the error as a `RunError`, or raise it if it is of no known kind."""
    if (told := as_run_error(error)) is None:
        raise error
    return told


def _in_blocks(rows: pa.Table, batch: int) -> list[pa.Table]:
    """Split rows into blocks of whole batches: one batch each, or more if there would be too many blocks."""
    per_block = batch * max(1, -(-len(rows) // (batch * MAX_BLOCKS)))
    return [rows.slice(start, per_block) for start in range(0, len(rows), per_block)]


def counted(n: int, unit: str) -> str:
    """Return a number with its unit: `1 track`, `2 tracks`."""
    return f"{n} {unit}" + ("" if n == 1 else "s")


def _progress(n: int, total: int, unit: str, seconds: float) -> str:
    rate = n / max(seconds, 1e-6)
    left_s = (total - n) / rate if rate else 0.0
    return f"{n} of {counted(total, unit)}  {rate * 60:.0f}/min  {_as_time(left_s)} left"


def _as_time(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in RECORDED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
