"""Cost and accuracy by catalogue size: the stages on simulated voices, without audio.

    python -m jobs.bench.scale [--tracks 100000] [--rates 0.03] [--workspace workspace/scale] [--resume]

For each size from 10,000 up to `--tracks`, in steps of ten, it writes the tables that the stages would find (see
`jobs.bench.scale_catalogue`) and runs the stages' own commands: scan and the stages with audio find nothing new, and
those after `embed` do their full work. Prints Markdown: wall-clock and processor seconds, peak memory, the growth of
processor time, what is left in the workspace, and how good groups and names are. A rate is the equal-error rate of the
simulated encoder. The result of each step is saved, and `--resume` continues after the last.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from functools import partial
from pathlib import Path

import numpy as np

from jobs import engine
from jobs.bench.scale_catalogue import DIM, Catalogue
from jobs.bench.screenshot import chromium, drawn
from jobs.bench.spent import Spent
from jobs.bench.spent import run as run_python
from jobs.bench.table import header, row
from pipeline import report
from pipeline.scoring import kept, voices
from pipeline.scoring.centre import centred
from pipeline.sections import ClusterConfig
from pipeline.store import tables

SMALLEST, STEP = 10_000, 10
MORE = 0.01  # new tracks of a catalogue that grows
ASKED = 100  # questions of a search, and voices whose neighbours are compared with the exact ones
IDLE = ("separate", "shard", "embed")  # stages that have nothing to do
LEFT = ("files", "tracks", "vocals", "shards", "embeddings", "voices", "clusters", "tags", "candidates", "review")


class Commands:
    """The project's own commands on a catalogue."""

    def __init__(self, catalogue: Catalogue):
        self.catalogue, self.folder = catalogue, catalogue.folder

    def run(self, *arguments: str) -> Spent:
        """Run Python with these arguments."""
        return run_python(list(arguments), self.folder / "log.txt")

    def stage(self, name: str, *settings: str) -> Spent:
        """Run a stage."""
        given = [f"workspace={self.catalogue.workspace.root}", f"known={self.folder / 'known.csv'}", "min_free_gb=0"]
        return self.run("-m", f"jobs.{name}", str(self.catalogue.config), *given, *settings)

    def search(self, n: int) -> Spent:
        """Search for the nearest tracks of `n` tracks."""
        questions = self.folder / "questions.txt"
        questions.write_text("\n".join(self.catalogue.truth["track_id"].sample(n, random_state=0)))
        root = self.catalogue.workspace.root
        return self.run("-m", "jobs.search", root, "--batch", str(questions), "--json")

    def each_search(self) -> Spent:
        """Return what each further query costs."""
        first, many = self.search(1), self.search(ASKED + 1)
        return Spent((many.seconds - first.seconds) / ASKED, (many.cpu_s - first.cpu_s) / ASKED, many.memory_gb)

    def pandas(self, table: str) -> Spent:
        """Read a table as users do."""
        folder = self.catalogue.workspace.path(table)
        return self.run("-c", f"import pandas; pandas.read_parquet({folder!r})")


def steps(catalogue: Catalogue, n_tracks: int, config: ClusterConfig) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the steps of a measurement in their order: a name, and a function that does the step."""
    commands = Commands(catalogue)
    stage = commands.stage
    umap = f"cluster.umap={str(config.umap).lower()}"
    yield "", lambda: catalogue.grow(n_tracks)
    yield "scan of a folder, nothing new", lambda: stage("scan", f"catalogue={catalogue.folder / 'music'}")
    yield "scan by a manifest, nothing new", lambda: stage("scan", f"catalogue={catalogue.folder / 'manifest.csv'}")
    for name in IDLE:
        yield f"{name}, nothing new", partial(stage, name)
    yield "cluster", lambda: stage("cluster", umap)
    yield "cluster, nothing new", lambda: stage("cluster", umap)
    yield "groups'", catalogue.groups
    yield "neighbours:", lambda: {"found of the exact": neighbours_found(catalogue)}
    yield "tag, no credits", lambda: stage("tag", "tag.use_credits=false")
    yield "no credits:", catalogue.names
    yield "tag", lambda: stage("tag")
    yield "credits:", catalogue.names
    yield "report", lambda: stage("report")
    yield "search, first question", lambda: commands.search(1)
    yield "search, each other", commands.each_search
    for name in ("tags", "voices"):
        yield f"{name}/ read by pandas", partial(commands.pandas, name)
    yield "left:", lambda: left(catalogue)
    yield "", lambda: catalogue.grow(round(n_tracks * MORE))
    yield f"cluster, {MORE:.0%} more", lambda: stage("cluster", umap)
    yield f"tag, {MORE:.0%} more", lambda: stage("tag")


def neighbours_found(catalogue: Catalogue) -> float:
    """Return the recall of the workspace's index: the share of some voices' exact neighbours that it has found."""
    found, backend = voices.read(catalogue.workspace)
    near = kept.nearest(catalogue.workspace, found, backend)
    backend = centred(found, backend)
    evidence = backend.evidence(found.means, found.seconds)
    hits = []
    for at in np.random.default_rng(0).choice(len(found), ASKED, replace=False):
        ratio = backend.table(evidence[[at]], evidence)[0]
        ratio[at] = -np.inf
        hits.append(np.isin(near[at], np.argpartition(-ratio, near.shape[1])[: near.shape[1]]).mean())
    return float(np.mean(hits))


def left(catalogue: Catalogue) -> dict[str, float]:
    """Return the number of files of each table, the report's size, and the time that a browser takes to draw it."""
    workspace = catalogue.workspace
    found: dict[str, float] = {f"files of {table}/": len(tables.parts(workspace, table)) for table in LEFT}
    page = Path(workspace.path(report.NAME))
    found["report, MB"] = page.stat().st_size / 1e6
    found["report, s to draw"] = drawn(page) if chromium() else float("nan")
    return found


def measure(
    folder: Path, n_tracks: int, rate: float, config: ClusterConfig, say: Callable[[str, Spent], None], resume: bool
) -> dict[str, float]:
    """Report what each command took on a catalogue; return how good the results are and what is left, by name.

    Args:
        folder: of the catalogue and the record of its steps.
        n_tracks: about how many.
        rate: equal-error rate of the simulated encoder.
        config: of the cluster stage.
        say: is called with the name of each command and what it took.
        resume: continue after the last step that an earlier call has done in this folder.
    """
    record = folder / "steps.json"
    if not (resume and record.exists()):
        shutil.rmtree(folder, ignore_errors=True)
    catalogue = Catalogue(folder, rate)
    done: list = json.loads(record.read_text()) if record.exists() else []
    found: dict[str, float] = {}
    for i, (name, work) in enumerate(steps(catalogue, n_tracks, config)):
        if i == len(done):
            gave = work()
            done.append(astuple(gave) if isinstance(gave, Spent) else gave)
            record.write_text(json.dumps(done))
        if isinstance(done[i], dict):
            found |= {f"{name} {key}": value for key, value in done[i].items()}
        elif done[i] is not None:
            say(name, Spent(*done[i]))
    return found


def run(n_tracks: int, rates: Sequence[float], workspace: Path, config: ClusterConfig, resume: bool) -> int:
    """Measure each size and rate, print the tables, and return the exit status."""
    sizes = [n_tracks]
    while sizes[-1] >= SMALLEST * STEP:
        sizes.append(sizes[-1] // STEP)
    header(
        f"Cost ({DIM} numbers a voice, {os.cpu_count()} processors)",
        "equal-error rate",
        "tracks",
        "command",
        "wall-clock s",
        "processor s",
        "memory, GB",
        "growth",
    )
    truth = {}
    for rate in rates:
        smaller: dict[str, Spent] = {}
        for n in reversed(sizes):
            spent: dict[str, Spent] = {}

            def say(name: str, one: Spent, rate=rate, n=n, spent=spent, smaller=smaller) -> None:
                spent[name] = one
                growth = f"{np.log(one.cpu_s / smaller[name].cpu_s) / np.log(STEP):.2f}" if name in smaller else ""
                row(f"{rate:.0%}", f"{n:,}", name, *(f"{value:.2f}" for value in astuple(one)), growth)

            truth[f"{n:,} at {rate:.0%}"] = measure(workspace / f"{n}-{rate:g}", n, rate, config, say, resume)
            smaller = spent
    header("Found and left", "", *truth)
    for name in next(iter(truth.values())):
        row(name, *(f"{found[name]:.3f}".rstrip("0").rstrip(".") for found in truth.values()))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.scale", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tracks", type=int, default=100_000)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.03])
    parser.add_argument("--workspace", type=Path, default=Path("workspace/scale"))
    parser.add_argument("--no-umap", action="store_true", help="place voices on principal axes, without UMAP")
    parser.add_argument("--resume", action="store_true", help="continue where an earlier call was interrupted")
    given = parser.parse_args(argv)
    config = ClusterConfig(umap=not given.no_umap)
    return engine.guarded(lambda: run(given.tracks, given.rates, given.workspace, config, given.resume))


if __name__ == "__main__":
    sys.exit(main())
