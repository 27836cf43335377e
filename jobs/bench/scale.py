"""What size costs, and what it does to the truth: the stages after `embed` on simulated voices, without audio.

    python -m jobs.bench.scale [--tracks 100000] [--rates 0.03] [--workspace workspace/scale]

Of each size from 10,000 up to `--tracks`, in steps of ten, it writes the tables that the stages would find, and runs
their own commands: half of the singers of several tracks are known by one; each file has a credit, of which 2 % are
another singer's. Prints Markdown: seconds by the wall and of processor time, the largest memory, and how fast processor
time grows; how groups and names fare. A rate is the equal-error rate of the simulated encoder.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from jobs import engine
from jobs.bench.grouping import DIM, simulate, simulated_backend
from jobs.bench.table import header, row
from pipeline.config import Config
from pipeline.scoring import metrics, voices
from pipeline.sections import ClusterConfig
from pipeline.store import tables
from pipeline.store.workspace import Workspace

ENCODER = "simulated"
SIZES = np.array([1] * 8000 + [2] * 2000 + [4] * 1000 + [10] * 400)  # tracks of 20,000's singers: four in ten alone
SMALLEST, STEP = 10_000, 10
PART = 20_000  # tracks of a part
SECONDS = 60.0  # of clips a track
SWAPPED = 0.02
MORE = 0.01  # new tracks of a catalogue that grows
ASKED = 100  # questions of a search
NAMED = "vocalist {}"


@dataclass(frozen=True)
class Spent:
    """What a command took: seconds by the wall and of processor time, and the largest memory in GB."""

    seconds: float
    cpu_s: float
    memory_gb: float


Say = Callable[[str, Spent], None]


class Catalogue:
    """A workspace as it is after `embed`, and who sings."""

    def __init__(self, folder: Path, rate: float):
        self.folder, self.rate, self.rng = folder, rate, np.random.default_rng(0)
        self.workspace = Workspace(folder / "workspace")
        self.truth = pd.DataFrame({"track_id": pd.Series(dtype=object), "who": pd.Series(dtype=int)})
        self.workspace.write_bytes(voices.calibration_name(ENCODER), self._backend())

    def _backend(self) -> bytes:
        vectors = simulate([2] * 2000, self.rate, self.rng)[0]
        spread = float((vectors[::2] * vectors[1::2]).sum(1).mean())  # two tracks share no more than their singer
        return replace(simulated_backend(self.rate, self.rng), encoder_id=ENCODER, spread=spread).to_bytes()

    def grow(self, n_tracks: int) -> None:
        """Add about so many tracks, whose singers are new."""
        sizes = np.resize(self.rng.permutation(SIZES), max(1, round(n_tracks * len(SIZES) / SIZES.sum())))
        for part in np.array_split(sizes, max(1, n_tracks // PART)):
            vectors, who = simulate(part.tolist(), self.rate, self.rng)
            first, singers = len(self.truth), int(self.truth["who"].max() + 1) if len(self.truth) else 0
            ids = [hashlib.md5(str(first + i).encode()).hexdigest() for i in range(len(who))]
            self.truth = pd.concat([self.truth, pd.DataFrame({"track_id": ids, "who": who + singers})])
            self._write(f"{first:09d}", ids, vectors)
        self._whole()

    def _write(self, part: str, ids: list[str], vectors: np.ndarray) -> None:
        rows = pd.DataFrame({"track_id": ids, "encoder_id": ENCODER, "embedding": list(vectors.astype(np.float32))})
        clips = rows.assign(clip_id=rows["track_id"], start_s=0.0, end_s=SECONDS)  # one, where a song has about ten
        tables.write(self.workspace, "embeddings", clips, part)
        tables.write(self.workspace, "voices", rows.assign(n_clips=1, spread=0.0), part)
        shards = rows[["track_id"]].assign(shard=part, n_clips=1)
        tables.write(self.workspace, "shards", shards, part)
        vocals = rows[["track_id"]].assign(vocals_uri="", has_vocals=True)
        tables.write(self.workspace, "vocals", vocals, part)

    def _whole(self) -> None:
        """Write the files, tracks, and known names of all that is there."""
        who = self.truth["who"].to_numpy()
        credit, swapped = who.copy(), np.flatnonzero(self.rng.random(len(who)) < SWAPPED)
        credit[swapped] = np.roll(credit[swapped], 1)
        files = pd.DataFrame({"track_id": self.truth["track_id"], "artist": [NAMED.format(i) for i in credit]})
        files["uri"] = [f"/music/{i}.flac" for i in range(len(files))]
        files["title"] = "Song"
        tables.write(self.workspace, "files", files, "all")
        tables.replace(self.workspace, "tracks", files.assign(duration_s=200.0, n_files=1))
        several = np.flatnonzero(np.bincount(who) > 1)[::2]
        known = self.truth[self.truth["who"].isin(several)].drop_duplicates("who")
        known = pd.DataFrame({"track": known["track_id"], "vocalist": known["who"].map(NAMED.format)})
        known.to_csv(self.folder / "known.csv", index=False)

    def run(self, *command: str) -> Spent:
        """Run one of the project's commands.

        Raises:
            RuntimeError: it failed.
        """
        began = time.perf_counter()
        with open(self.folder / "log.txt", "a") as log:
            process = subprocess.Popen([sys.executable, "-m", *command], stdout=log, stderr=log)
            _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: see {log.name}")
        return Spent(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6)

    def stage(self, name: str, *settings: str) -> Spent:
        """Run a stage."""
        config = self.folder / "config.yaml"
        config.write_text(Config().to_yaml())
        given = [f"workspace={self.workspace.root}", f"known={self.folder / 'known.csv'}", "min_free_gb=0", *settings]
        return self.run(f"jobs.{name}", str(config), *given)

    def search(self, n: int) -> Spent:
        """Ask for the nearest of so many tracks."""
        questions = self.folder / "questions.txt"
        questions.write_text("\n".join(self.truth["track_id"].sample(n, random_state=0)))
        return self.run("jobs.search", self.workspace.root, "--batch", str(questions), "--json")

    def groups(self) -> metrics.BCubed:
        """Return how well `clusters/` groups the tracks."""
        found = tables.read(self.workspace, "clusters", ["track_id", "cluster_id"]).merge(self.truth, on="track_id")
        return metrics.bcubed(found["who"].to_numpy(), found["cluster_id"].to_numpy())

    def names(self) -> dict[str, float]:
        """Return how often the names in `tags/` are right, and how many of the tracks that could have one have it."""
        tags = tables.read(self.workspace, "tags").merge(self.truth, on="track_id")
        known = pd.read_csv(self.folder / "known.csv")
        asked = tags[~tags["track_id"].isin(known["track"])]
        named = asked["source"].isin(["enrolled", "credited"])
        right = asked["vocalist"] == asked["who"].map(NAMED.format)
        could = asked["who"].map(NAMED.format).isin(known["vocalist"])
        credit = asked["file_artist"] == asked["who"].map(NAMED.format)
        wrong = asked["disagrees"]
        return {
            "named right": float(right[named].mean()),
            "of known singers' named": float((named & right)[could].mean()),
            "of all named": float((named & right).mean()),
            "true credits accused": float(wrong[credit].mean()),
            "wrong credits found": float(wrong[~credit].mean()),
        }


def measure(folder: Path, n_tracks: int, rate: float, config: ClusterConfig, say: Say) -> dict[str, float]:
    """Say what each command took on a catalogue; return how well groups and names fare, by what it is called."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    catalogue = Catalogue(folder, rate)
    catalogue.grow(n_tracks)
    cluster = f"cluster.umap={str(config.umap).lower()}"
    say("cluster", catalogue.stage("cluster", cluster))
    say("cluster, nothing new", catalogue.stage("cluster", cluster))
    found = {f"groups' {name}": value for name, value in vars(catalogue.groups()).items()}
    say("tag, no credits", catalogue.stage("tag", "tag.use_credits=false"))
    found |= {f"no credits: {name}": value for name, value in catalogue.names().items()}
    say("tag", catalogue.stage("tag"))
    found |= {f"credits: {name}": value for name, value in catalogue.names().items()}
    first, many = catalogue.search(1), catalogue.search(ASKED + 1)
    each = [(after - before) / ASKED for before, after in zip(astuple(first), astuple(many), strict=True)]
    say("search, first question", first)
    say("search, each other", Spent(each[0], each[1], many.memory_gb))
    catalogue.grow(round(n_tracks * MORE))
    say(f"cluster, {MORE:.0%} more", catalogue.stage("cluster", cluster))
    return found


def run(n_tracks: int, rates: Sequence[float], workspace: Path, config: ClusterConfig) -> int:
    """Measure each size and rate, print, and return the exit status."""
    sizes = [n_tracks]
    while sizes[-1] >= SMALLEST * STEP:
        sizes.append(sizes[-1] // STEP)
    header(
        f"Cost ({DIM} numbers a voice, {os.cpu_count()} processors)",
        "equal-error rate",
        "tracks",
        "command",
        "seconds",
        "of processor time",
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

            truth[f"{n:,} at {rate:.0%}"] = measure(workspace / f"{n}-{rate:g}", n, rate, config, say)
            smaller = spent
    header("Truth", "", *truth)
    for name in next(iter(truth.values())):
        row(name, *(f"{found[name]:.3f}" for found in truth.values()))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.scale", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tracks", type=int, default=100_000)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.03])
    parser.add_argument("--workspace", type=Path, default=Path("workspace/scale"))
    parser.add_argument("--no-umap", action="store_true", help="draw the map by two axes")
    given = parser.parse_args(argv)
    config = ClusterConfig(umap=not given.no_umap)
    return engine.guarded(lambda: run(given.tracks, given.rates, given.workspace, config))


if __name__ == "__main__":
    sys.exit(main())
