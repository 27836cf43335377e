"""What every stage's entry point shares: arguments, Ray, the pool of workers, progress, the record of the run.

A `Stage` says what a stage is; `main` runs it from the command line. Its work is a function `work(config, run)`, or a
`Pool` where it is done item by item: `Run.map` sends rows through a pool of workers. Exit status: 0 done, 1 more
failed than `max_failed_fraction` allows, 2 the run could not go on.
"""

import argparse
import collections
import contextlib
import importlib.metadata
import json
import os
import platform
import shlex
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import ray.data

from jobs import INTERRUPTED, INTERRUPTED_STATUS
from jobs.connect import lacking, placed, start_ray
from jobs.metrics import Metrics
from pipeline.config import Config, load
from pipeline.sections import Compute
from pipeline.store import lock, provenance, reach, tables
from pipeline.store.errors import UNAVAILABLE, ConfigError, DeviceLost, RunError, as_run_error, is_passing
from pipeline.store.gather import gather
from pipeline.store.ledger import OUTCOMES, forget_crashes
from pipeline.store.text import visible
from pipeline.store.workspace import Workspace

MAX_BLOCKS = 4000  # enough for an even load and steady progress; more would burden the scheduler
PROGRESS_S = 2.0
MAX_SAID = 5000  # characters of a line: names of files and people stand in it, and may be of any length
FATAL = "fatal"
STARTED, STOPPED = "started", "stopped"  # of runs that have not come to an end
RECORDED = ("torch", "ray", "pyarrow", "demucs", "umap-learn", "hdbscan", "vocatlas")


class Run:
    """One stage of one catalogue run: what it did, skipped and failed, and how long it took.

    Attributes:
        unit, given: what the stage counts, and what its workers are given, in the singular.
        done, failed: in units. skipped, settled: of what workers are given.
    """

    def __init__(self, stage: str, config: Config, unit: str = "track", given: str | None = None):
        self.stage, self.config, self.unit, self.given = stage, config, unit, given or unit
        self.workspace = Workspace(config.workspace)
        self.done = self.skipped = self.failed = self.settled = 0
        self.errors: collections.Counter[str] = collections.Counter()
        self.note = ""
        self.started_at, self._clock = datetime.now(UTC), time.monotonic()
        self._part = f"{self.started_at:%Y%m%dT%H%M%S}-{stage}-{uuid.uuid4().hex[:8]}"

    def say(self, text: str) -> None:
        """Print a line of progress at once."""
        print(f"{self.stage:>9}  {visible(text[:MAX_SAID])}", flush=True)

    def map(self, worker: Callable[..., Any], rows: pa.Table, compute: Compute, *, skipped: int = 0,
            arguments: tuple = ()) -> None:
        """Send rows through a pool of workers and count what becomes of them.

        Args:
            worker: a class: `worker(*arguments)` once per actor, then called with batches of `rows`;
                it returns their outcomes (see `pipeline.store.ledger`).
            skipped: how many items were done before, for the summary.
        """
        self.skipped += skipped
        total = len(rows)
        self.say(f"{counted(total, self.given)} to do" + (f", {skipped} done before" if skipped else ""))
        if not total:
            return
        start_ray(compute)
        outcomes = ray.data.from_arrow(_in_blocks(rows, compute.batch)).map_batches(
            Guarded, fn_constructor_args=(worker, *arguments),
            batch_size=compute.batch, batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(min_size=compute.workers_min, max_size=compute.workers_max),
            num_cpus=compute.cpus, num_gpus=compute.gpus or None)
        if told := lacking(compute):
            self.say(f"{told}; waiting for one")
        metrics = Metrics(self.stage)
        said, clock = 0.0, time.monotonic()
        with placed(compute):
            for batch in outcomes.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                self._count(batch)
                metrics.count(batch, total - self.settled)
                if time.monotonic() - said > PROGRESS_S:
                    said = time.monotonic()
                    self.say(_progress(self.settled, total, self.given, said - clock)
                             + f"  {counted(self.failed, self.unit)} failed")

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
        """Write the run's row of `runs/`; one whose process is killed keeps the status that it began with."""
        tables.write(self.workspace, "runs", [{
            "run_id": self._part.rpartition("-")[2], "stage": self.stage, "started_at": self.started_at,
            "seconds": time.monotonic() - self._clock, "status": status,
            "fingerprint": self.config.fingerprint(self.stage), "done": self.done, "unit": self.unit,
            "skipped": self.skipped, "failed": self.failed, "config": self.config.to_yaml(),
            "versions": json.dumps(_versions()), "host": socket.gethostname(), "message": message}], self._part)

    def finish(self, status: str, message: str = "") -> int:
        """Record the end of the run, print its summary and return its exit status."""
        seconds = time.monotonic() - self._clock
        worked = self.done + self.failed
        if status == "ok" and worked and self.failed / worked > self.config.max_failed_fraction:
            status = "too many failed"
        self.record(status, message or self.note)
        reasons = f" ({', '.join(f'{kind} {n}' for kind, n in self.errors.most_common())})" if self.errors else ""
        skipped = self.skipped if self.given == self.unit else counted(self.skipped, self.given)
        self.say(f"{counted(self.done, self.unit)} done, {skipped} skipped, {self.failed} failed{reasons}, "
                 + _clock(seconds) + (f"; {self.note}" if self.note else ""))
        if status == "too many failed":
            self.say(f"more than max_failed_fraction={self.config.max_failed_fraction:g} failed: "
                     f"see {self.workspace.uri('failures')}")
        return 0 if status == "ok" else 1


class Guarded:
    """A worker whose `RunError` comes back as an outcome in words; Ray would hand on its text alone, in a trace."""

    def __init__(self, worker: Callable[..., Any], *arguments: Any):
        self.error: RunError | None = None
        try:
            self.worker = worker(*arguments)
        except (RunError, OSError) as error:
            self.error = _run_error(error)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return the worker's outcomes, or one that ends the run."""
        try:
            if self.error:
                raise self.error
            return self.worker(batch)
        except DeviceLost as error:
            print(f"error: {error}; another process goes on", file=sys.stderr, flush=True)
            os._exit(1)  # what was in work is marked; Ray starts another and sends the batch again
        except (RunError, OSError) as error:
            outcome = {"key": "", "status": FATAL, "error": str(_run_error(error))}
            return pa.Table.from_pylist([outcome], schema=OUTCOMES)


def _run_error(error: Exception) -> RunError:
    """Return the error in words, or raise it where it is none of a store's."""
    if (told := as_run_error(error)) is None:
        raise error
    return told


@dataclass(frozen=True)
class Stage:
    """What a stage is, said once.

    Attributes:
        name: also its section of the config, its command and its make target.
        about: what it does, in one sentence.
        work: does it: a function of the config and the run, or a `Pool`.
        needs: each table that it reads -> the stage that makes it.
        check: looks, before hours of work are done, for what the stage takes from elsewhere; raises `ConfigError`.
        unit, given: see `Run`.
    """

    name: str
    about: str
    work: Callable[[Config, Run], None]
    needs: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[Config], object] = lambda config: None
    unit: str = "track"
    given: str | None = None


@dataclass(frozen=True)
class Pool:
    """Work that is done item by item, by workers that Ray may start anywhere.

    Attributes:
        worker: see `Run.map`; it is given the workspace and `settings`.
        pending: the items of a workspace that are still to be done, as rows, and how many are done.
        settings: what a worker needs of the config.
        decided: what else decides the content of the tables, such as the encoder's id.
        note: what the summary says beside the counts.
    """

    worker: Callable[..., Any]
    pending: Callable[[Workspace], tuple[pa.Table, int]]
    settings: Callable[[Config], tuple]
    decided: Callable[[Workspace, Config], dict[str, Any]] = lambda workspace, config: {}
    note: Callable[[Workspace, dict[str, Any]], str] = lambda workspace, decided: ""

    def __call__(self, config: Config, run: Run) -> None:
        """Do what is pending."""
        decided = self.decided(run.workspace, config)
        provenance.claim(run.workspace, config, run.stage, **decided)
        rows, done = self.pending(run.workspace)
        run.map(self.worker, rows, getattr(config, run.stage).compute, skipped=done,
                arguments=(config.workspace, *self.settings(config)))
        run.note = self.note(run.workspace, decided)


def main(stage: Stage, argv: Sequence[str] | None = None) -> int:
    """Run one stage from the command line and return its exit status."""
    return command(stage.name, stage.about, lambda config: execute(stage, config), argv)


def command(name: str, about: str | None, work: Callable[[Config], int], argv: Sequence[str] | None = None) -> int:
    """Read a config and its settings from the command line, do the work with it, and return its exit status."""
    parser = argparse.ArgumentParser(prog=f"python -m jobs.{name}", description=(about or "").split("\n")[0])
    add_config_arguments(parser)
    arguments = parser.parse_args(argv)
    return guarded(lambda: work(load(arguments.config, [*arguments.overrides, *arguments.set])))


def add_config_arguments(parser: argparse.ArgumentParser, optional: bool = False) -> None:
    """Add what every entry point takes: a config file and settings that win over the file's."""
    parser.add_argument("config", nargs="?" if optional else None, help="a config file, such as configs/local.yaml")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value", help="settings that win over the file's")
    parser.add_argument("--set", type=shlex.split, default=[], metavar="SETTINGS",
                        help="further settings in one text, quoted as for a shell (make's SET)")


def guarded(work: Callable[[], int]) -> int:
    """Do the work; an error that concerns the whole run is printed in words, and is exit status 2; Ctrl-C is 130."""
    try:
        return work()
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr, flush=True)
        return INTERRUPTED_STATUS
    except (RunError, OSError) as error:
        told = str(_run_error(error))
        print("error: " + "\n".join(map(visible, told.splitlines())), file=sys.stderr, flush=True)
        return 2


def execute(stage: Stage, config: Config) -> int:
    """Check the workspace, run one stage, record it, and return its exit status.

    Raises:
        RunError: the run as a whole could not go on.
    """
    os.environ.update(config.store.environment())
    reach.check(config.workspace)
    run = Run(stage.name, config, stage.unit, stage.given)
    with alone(run.workspace, config, stage.name):
        run.record(STARTED)
        try:
            gather(run.workspace)
            for table, made_by in stage.needs.items():
                need(run.workspace, table, made_by)
            stage.check(config)
            forget_crashes(run.workspace, stage.name)
            provenance.forget_failures(run.workspace, stage.name, None if config.retry_failed else UNAVAILABLE)
            stage.work(config, run)
            gather(run.workspace)
        except BaseException as error:
            if not is_passing(error) and not is_passing(error.__cause__ or error):  # else minutes would pass again
                with contextlib.suppress(OSError, RunError):
                    run.record(STOPPED, str(error) or type(error).__name__)
            raise
        return run.finish("ok")


@contextlib.contextmanager
def alone(workspace: Workspace, config: Config, doing: str) -> Iterator[None]:
    """Check that the workspace can be written, and be the only one who works there.

    Raises:
        WorkspaceError: it cannot, or someone works there; the message says who.
    """
    workspace.preflight(config.min_free_gb)
    with lock.hold(workspace, doing, lambda text: print(text, flush=True)):
        yield


def need(workspace: Workspace, table: str, stage: str) -> None:
    """Check that the table which a stage reads is there, or was found to be empty (nobody sings).

    Raises:
        ConfigError: it is not; the message names the stage that makes it.
    """
    if not tables.parts(workspace, table) and not _has_ended(workspace, stage):
        raise ConfigError(f"{workspace.uri(table)} is not there yet: run the {stage} stage first")


def _has_ended(workspace: Workspace, stage: str) -> bool:
    runs = tables.read(workspace, "runs", ["stage", "status"])
    return stage in set(runs.loc[~runs["status"].isin([STARTED, STOPPED]), "stage"])


def _in_blocks(rows: pa.Table, batch: int) -> list[pa.Table]:
    """Cut rows into blocks of whole batches: one each, or more where there would be too many blocks."""
    per_block = batch * max(1, -(-len(rows) // (batch * MAX_BLOCKS)))
    return [rows.slice(start, per_block) for start in range(0, len(rows), per_block)]


def counted(n: int, unit: str) -> str:
    """Return a number of things in words: `1 track`, `2 tracks`."""
    return f"{n} {unit}" + ("" if n == 1 else "s")


def _progress(n: int, total: int, unit: str, seconds: float) -> str:
    rate = n / max(seconds, 1e-6)
    left_s = (total - n) / rate if rate else 0.0
    return f"{n} of {counted(total, unit)}  {rate * 60:.0f}/min  {_clock(left_s)} left"


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return (f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}")


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in RECORDED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
