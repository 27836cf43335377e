"""A day on a cluster that loses its nodes: the product's own engine with workers that sleep, against the ideal.

    python -m jobs.bench.day [--tracks 10000] [--seconds 0.6] [--nodes 4] [--workers 3] [--life 150] [--gap 5]
        [--losses N] [--seed 26] [--workspace workspace/day]

`separate` runs as it does on any cluster: Ray's scheduler and actors, the engine's pool, the ledger, the tables. Its
workers sleep where they would compute, so that several nodes of `ray.cluster_utils.Cluster` fit on one machine. Nodes
are killed without notice, each after a life drawn from an exponential distribution, and another takes the place after
a gap. The ideal is the sum of all sleep over the workers of a cluster that loses nothing. What Ray, Python and the
tables take is not scaled down with the sleep, so a real day, whose batches take minutes, loses less. Prints Markdown.
"""

import argparse
import contextlib
import heapq
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from ray.cluster_utils import Cluster

from jobs import engine
from jobs.bench.table import header, row
from pipeline.config import Config
from pipeline.sections import Compute, SeparateConfig
from pipeline.store import tables
from pipeline.store.ledger import Ledger
from pipeline.store.workspace import Workspace

STORE_BYTES = 100_000_000  # of objects a node
# A day is shorter here, so that a lost node must be noticed sooner than after Ray's 15 s. And at the low priority that
# Ray gives workers, they would hardly start beside other work.
SYSTEM = {"health_check_period_ms": 500, "health_check_failure_threshold": 8, "worker_niceness": 0}
DRIVER = "import sys; from jobs import engine; from jobs.bench import day; sys.exit(engine.main(day.SLEEP))"
VARIATION = 0.3  # of the tracks' lengths: standard deviation of the logarithm


class Sleeper:
    """The worker of `separate`, but that it sleeps for a track's `duration_s` and writes no audio."""

    def __init__(self, workspace: str):
        self.workspace = Workspace(workspace)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Sleep through a batch of tracks and return their outcomes."""
        ledger = Ledger(self.workspace, "separate", "vocals")
        for track in ledger.survivors(batch.to_pylist(), "track_id"):
            with ledger.item(track["track_id"]):
                time.sleep(track["duration_s"])
                ledger.add(track_id=track["track_id"], has_vocals=True)
        return ledger.commit()


def pending(workspace: Workspace) -> tuple[pa.Table, int]:
    """Return the tracks that have neither vocals nor a failure, and how many have; see `separate.pending`."""
    tracks = tables.read_arrow(workspace, "tracks", ["track_id", "duration_s"])
    return tables.unsettled(workspace, tracks, "vocals", "separate")


SLEEP = engine.Stage(  # says `separate` without its module, whose networks would take the workers seconds to load
    name="separate",
    about="Sleep for as long as each track says.",
    work=engine.Pool(Sleeper, pending, settings=lambda config: ()),
)


@dataclass(frozen=True)
class Fleet:
    """The nodes of a cluster: how many, of how many workers, their mean life, the gap until the next, most losses."""

    nodes: int = 4
    workers: int = 3
    life_s: float = 150.0
    gap_s: float = 5.0
    losses: int = 1_000_000


def changes(fleet: Fleet, rng: np.random.Generator) -> Iterator[tuple[float, int]]:
    """Yield `(when, which place)`: a place loses its node, is filled, loses that one, and so on."""
    left = fleet.losses
    due = [(rng.exponential(fleet.life_s), place, True) for place in range(fleet.nodes)]
    heapq.heapify(due)
    while due:
        at_s, place, dies = heapq.heappop(due)
        if dies and not left:
            continue
        left -= dies
        yield at_s, place
        lasts_s = fleet.gap_s if dies else rng.exponential(fleet.life_s)
        heapq.heappush(due, (at_s + lasts_s, place, not dies))


class Nodes:
    """A cluster of `ray.cluster_utils` on this machine, whose places are emptied and filled.

    Attributes:
        losses: how many nodes were killed.
        paid_s: seconds that nodes were there, from the order to start them on.
    """

    def __init__(self, fleet: Fleet):
        self.workers, self.losses, self.paid_s = fleet.workers, 0, 0.0
        head = {"num_cpus": 0, "object_store_memory": STORE_BYTES, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head | {"_system_config": SYSTEM})
        self.places: list[Any] = [self._started() for _ in range(fleet.nodes)]
        self.cluster.wait_for_nodes()
        self.since = [time.monotonic()] * fleet.nodes

    def _started(self) -> Any:
        return self.cluster.add_node(wait=False, num_cpus=self.workers, object_store_memory=STORE_BYTES)

    def change(self, place: int) -> None:
        """Kill the node in a place, or start one there."""
        if self.places[place]:
            self.cluster.remove_node(self.places[place], allow_graceful=False)
            self.places[place] = None
            self.losses += 1
            self.paid_s += time.monotonic() - self.since[place]
        else:
            self.since[place] = time.monotonic()
            with contextlib.suppress(Exception):  # one that is slow to start: Ray has no class of its own for it
                self.places[place] = self._started()

    def close(self) -> None:
        """Count what is still there, and end the cluster."""
        self.paid_s += sum(
            time.monotonic() - since for node, since in zip(self.places, self.since, strict=True) if node
        )
        self.cluster.shutdown()


def tracks(n: int, mean_s: float, rng: np.random.Generator) -> pd.DataFrame:
    """Return rows of `tracks/` whose `duration_s`, the time to sleep, has about this mean."""
    lengths = rng.lognormal(0, VARIATION, n)
    ids = [f"{i:032x}" for i in range(n)]
    return pd.DataFrame({"track_id": ids, "uri": "", "duration_s": mean_s * lengths / lengths.mean(), "n_files": 1})


def live(command: Sequence[str], log: IO[str], fleet: Fleet, rng: np.random.Generator) -> tuple[int, float, Nodes]:
    """Run a command while nodes come and go; return its exit status, its seconds, and the nodes."""
    nodes = Nodes(fleet)
    began, changing_s = time.monotonic(), 0.0
    environment = os.environ | {"RAY_ADDRESS": nodes.cluster.address}
    process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        for at_s, place in changes(fleet, rng):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, began + changing_s + at_s - time.monotonic()))
                break
            started = time.monotonic()
            nodes.change(place)
            changing_s += time.monotonic() - started  # a slow start shortens no life
        process.wait()
    finally:
        took_s = time.monotonic() - began
        process.kill()
        nodes.close()
    return process.returncode, took_s, nodes


def simulate(folder: Path, n_tracks: int, mean_s: float, fleet: Fleet, seed: int) -> int:
    """Run the day in a folder, print what it took against the ideal, and return the exit status of the run.

    Raises:
        RuntimeError: a track is missing, or there twice.
    """
    shutil.rmtree(folder, ignore_errors=True)
    workspace, rng = Workspace(folder), np.random.default_rng(seed)
    found = tracks(n_tracks, mean_s, rng)
    tables.replace(workspace, "tracks", found)
    slept_s = found["duration_s"].sum()
    n_workers = fleet.nodes * fleet.workers
    compute = Compute(workers_max=n_workers)
    config = Config(workspace=str(folder), separate=SeparateConfig(compute=compute), min_free_gb=0)
    (folder / "config.yaml").write_text(config.to_yaml())
    with open(folder / "log.txt", "w") as log:
        status, took_s, nodes = live([sys.executable, "-c", DRIVER, str(folder / "config.yaml")], log, fleet, rng)
    if status:
        raise RuntimeError(f"the run ended with {status}: see {folder / 'log.txt'}")
    done = tables.read(workspace, "vocals", ["track_id"])["track_id"]
    failed = len(tables.read(workspace, "failures", ["key"]))
    if not done.is_unique or len(done) + failed != n_tracks:
        raise RuntimeError(f"of {n_tracks} tracks {len(done)} rows and {failed} failures were found")
    header(
        f"{n_tracks:,} tracks of {mean_s:g} s, {fleet.nodes} nodes of {fleet.workers} workers, seed {seed}",
        "nodes lost",
        "tracks done",
        "failed",
        "ideal, s",
        "taken, s",
        "of the ideal",
        "of the workers' time that was there",
    )
    ideal_s = slept_s / n_workers
    paid = slept_s / (nodes.paid_s * fleet.workers)
    row(nodes.losses, len(done), failed, f"{ideal_s:.0f}", f"{took_s:.0f}", f"{ideal_s / took_s:.0%}", f"{paid:.0%}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and simulate."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.day", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tracks", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=0.6, help="of sleep a track, on average (0.6)")
    parser.add_argument("--nodes", type=int, default=Fleet.nodes)
    parser.add_argument("--workers", type=int, default=Fleet.workers, help="of a node")
    parser.add_argument("--life", type=float, default=Fleet.life_s, help="mean seconds until a node is lost")
    parser.add_argument("--gap", type=float, default=Fleet.gap_s, help="seconds until another is ordered")
    parser.add_argument("--losses", type=int, default=Fleet.losses, help="at most")
    parser.add_argument("--seed", type=int, default=26)
    parser.add_argument("--workspace", type=Path, default=Path("workspace/day"))
    given = parser.parse_args(argv)
    fleet = Fleet(given.nodes, given.workers, given.life, given.gap, given.losses)
    return engine.guarded(
        lambda: simulate(given.workspace / str(given.tracks), given.tracks, given.seconds, fleet, given.seed)
    )


if __name__ == "__main__":
    sys.exit(main())
