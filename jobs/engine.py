"""What all stages' entry points share: the description of a stage, its arguments, and the errors that end a command.

A `Stage` describes a stage, and `main` runs it from the command line. Its work is a function `work(config, run)`, or a
`Pool` if it is done item by item. Exit status: 0 done, 1 more items failed than `max_failed_fraction` allows, 2 the run
could not continue, 130 interrupted.
"""

import argparse
import contextlib
import importlib.util
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from jobs import INTERRUPTED, INTERRUPTED_STATUS
from jobs.running import STARTED, STOPPED, Run, run_error
from pipeline.config import Config, load
from pipeline.store import lock, provenance, reach, tables
from pipeline.store.errors import UNAVAILABLE, ConfigError, RunError, is_passing
from pipeline.store.gather import gather
from pipeline.store.ledger import forget_crashes
from pipeline.store.text import visible
from pipeline.store.workspace import Workspace


@dataclass(frozen=True)
class Stage:
    """The description of a stage.

    Attributes:
        name: of the stage, its section of the config, its command and its make target.
        about: what it does, in one sentence.
        work: a function of the config and the run that does the work, or a `Pool`.
        needs: each table that it reads -> the stage that makes it.
        check: called before any work begins; raises `ConfigError` if something that the stage needs is missing.
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
    """Work that is done item by item, by workers on any node of the Ray cluster.

    Attributes:
        worker: see `Run.map`; it is created with the workspace and `settings`.
        pending: returns the items of a workspace that are still to be done, as rows, and the number that are done.
        settings: the parts of the config that a worker needs.
        decided: whatever else determines the content of the tables, such as the encoder's id.
        note: what the summary says besides the counts.
    """

    worker: Callable[..., Any]
    pending: Callable[[Workspace], tuple[pa.Table, int]]
    settings: Callable[[Config], tuple]
    decided: Callable[[Workspace, Config], dict[str, Any]] = lambda workspace, config: {}
    note: Callable[[Workspace, dict[str, Any]], str] = lambda workspace, decided: ""

    def __call__(self, config: Config, run: Run) -> None:
        """Process the pending items."""
        decided = self.decided(run.workspace, config)
        provenance.claim(run.workspace, config, run.stage, **decided)
        rows, done = self.pending(run.workspace)
        run.map(
            self.worker,
            rows,
            getattr(config, run.stage).compute,
            skipped=done,
            arguments=(config.workspace, *self.settings(config)),
        )
        run.note = self.note(run.workspace, decided)


def main(stage: Stage, argv: Sequence[str] | None = None) -> int:
    """Run one stage from the command line and return its exit status."""
    return command(stage.name, stage.about, lambda config: execute(stage, config), argv)


def command(name: str, about: str | None, work: Callable[[Config], int], argv: Sequence[str] | None = None) -> int:
    """Read a config and settings from the command line, do the work with them, and return its exit status."""
    parser = argparse.ArgumentParser(prog=f"python -m jobs.{name}", description=(about or "").split("\n")[0])
    add_config_arguments(parser)
    arguments = parser.parse_args(argv)
    return guarded(lambda: work(load(arguments.config, [*arguments.overrides, *arguments.set])))


def add_config_arguments(parser: argparse.ArgumentParser, optional: bool = False) -> None:
    """Add the arguments of every entry point: a config file, and settings that override the file's."""
    parser.add_argument("config", nargs="?" if optional else None, help="a config file, such as configs/local.yaml")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value", help="settings that override the file's")
    parser.add_argument(
        "--set",
        type=shlex.split,
        default=[],
        metavar="SETTINGS",
        help="further settings in one argument, quoted as for a shell (make's SET)",
    )


def guarded(work: Callable[[], int]) -> int:
    """Do the work; an error that concerns the whole run is printed, and the exit status is 2 (130 after Ctrl-C)."""
    try:
        return work()
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr, flush=True)
        return INTERRUPTED_STATUS
    except (RunError, OSError) as error:
        told = str(run_error(error))
        print("error: " + "\n".join(map(visible, told.splitlines())), file=sys.stderr, flush=True)
        return 2


def execute(stage: Stage, config: Config) -> int:
    """Run one stage, with the checks of `execute_all`."""
    return execute_all([stage], config, stage.name)


def execute_all(stages: Sequence[Stage], config: Config, doing: str) -> int:
    """Check that everything that the stages need and do not make themselves is there, then run them in order.

    Args:
        stages: to run.
        config: of the run.
        doing: how this run is described to others who want to work in the workspace at the same time.

    Returns:
        The worst of the stages' exit statuses.

    Raises:
        RunError: the workspace cannot be used or another run is working in it, or a stage could not continue; later
            stages do not start.
    """
    os.environ.update(config.store.environment())
    reach.check(config.workspace)
    workspace = Workspace(config.workspace)
    workspace.preflight(config.min_free_gb)
    with lock.hold(workspace, doing, lambda text: print(text, flush=True)):
        made: set[str] = set()
        for stage in stages:
            for table, made_by in stage.needs.items():
                if made_by not in made:
                    need(workspace, table, made_by)
            stage.check(config)
            made.add(stage.name)
        return max(_run(stage, config) for stage in stages)


def _run(stage: Stage, config: Config) -> int:
    """Run a stage, record it, and return its exit status."""
    run = Run(stage.name, config, stage.unit, stage.given)
    run.record(STARTED)
    try:
        gather(run.workspace)
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


def extra(module: str, name: str) -> None:
    """Check that a module which comes with an extra of this package is installed.

    Raises:
        ConfigError: it is not; the message says how to install it.
    """
    if importlib.util.find_spec(module) is None:
        raise ConfigError(f"{module} is not installed: it comes with pip install 'vocatlas[{name}]'")


def need(workspace: Workspace, table: str, stage: str) -> None:
    """Check that a table which a stage reads exists, or has been found to be empty (nobody sings).

    Raises:
        ConfigError: it does not; the message names the stage that makes it.
    """
    if not tables.parts(workspace, table) and not _has_ended(workspace, stage):
        raise ConfigError(f"{workspace.uri(table)} does not exist yet: run the {stage} stage first")


def _has_ended(workspace: Workspace, stage: str) -> bool:
    runs = tables.read(workspace, "runs", ["stage", "status"])
    return stage in set(runs.loc[~runs["status"].isin([STARTED, STOPPED]), "stage"])
