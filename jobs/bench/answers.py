"""What groups, names and disagreements are worth: on released songs, on karaoke with previews, and simulated.

    python -m jobs.bench.answers [--audio AUDIO] [--vectors VECTORS] [--workspace workspace/answers]

AUDIO is what `jobs.bench.results` takes; its mixes, and pieces of 10 and 30 s of the karaoke songs, go through the
chain up to `embed`. VECTORS is a workspace with `truth.csv` (`uri`, `who`), one row a file. Everything is fitted on one
half of the singers and measured on the other, both ways round. Prints Markdown.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from jobs import engine
from jobs.bench import grouping
from jobs.bench.results import mix_down
from jobs.run import run_stages
from pipeline.config import load
from pipeline.evaluate import answers
from pipeline.people.names import key
from pipeline.scoring import calibrate, voices
from pipeline.scoring.backend import Backend
from pipeline.scoring.voices import Voices
from pipeline.sections import ClusterConfig, TagConfig
from pipeline.sound import audio
from pipeline.sound.audio import Audio
from pipeline.stages.cluster import cluster_voices
from pipeline.store import tables
from pipeline.store.workspace import Workspace

ENROLLED = (1, 2, 5)
DRAWS = 10
SWAPPED = 0.05
MAP = ClusterConfig(umap=False)


@dataclass(frozen=True)
class Catalogue:
    """Voices and clips of tracks whose `singer (n,)` is known; strangers have a name of their own each."""

    voices: Voices
    clips: calibrate.Clips
    singer: np.ndarray

    def part(self, kept: np.ndarray) -> "Catalogue":
        """Return the tracks at `kept (n,)` bool."""
        number = np.cumsum(kept) - 1
        rows = kept[self.clips.track]
        clips = calibrate.Clips(
            self.clips.vectors[rows], self.clips.seconds[rows], number[self.clips.track[rows]], self.clips.singer[kept]
        )
        return Catalogue(self.voices[np.flatnonzero(kept)], clips, self.singer[kept])


def read(workspace: Workspace, singers: dict[str, str]) -> Catalogue:
    """Return a workspace's tracks, by the singer of each track_id; one that is not named is a stranger."""
    found, _ = voices.read(workspace)
    frame, vectors = tables.read_embeddings(workspace)
    number = {track_id: i for i, track_id in enumerate(found.track_ids)}
    rows = np.flatnonzero(frame["track_id"].isin(number).to_numpy())
    track = frame["track_id"].iloc[rows].map(number).to_numpy(int)
    singer = np.array([singers.get(track_id) or f"stranger {track_id}" for track_id in found.track_ids], object)
    seconds = (frame["end_s"] - frame["start_s"]).to_numpy(float)[rows]
    return Catalogue(found, calibrate.Clips(vectors[rows].astype(float), seconds, track, singer), singer)


def halves(singer: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the two halves (n,) bool of a catalogue's tracks, no singer in both.

    Singers of several songs and those of one are halved separately.
    """
    names, at, count = np.unique(singer, return_inverse=True, return_counts=True)
    order = np.lexsort((np.random.default_rng(seed).permutation(len(names)), count > 1))
    first = np.zeros(len(names), bool)
    first[order[::2]] = True
    return first[at], ~first[at]


def fitted(catalogues: Sequence[Catalogue], encoder_id: str) -> Backend:
    """Return a back-end fitted on these catalogues."""
    return calibrate.fit([catalogue.clips for catalogue in catalogues], encoder_id)


def names(catalogue: Catalogue, backend: Backend, enrolled: int, rng: np.random.Generator) -> list[answers.Asked]:
    """Return what tag answers when half of the singers who have more than `enrolled` tracks are known by so many."""
    clusters = cluster_voices(catalogue.voices, backend, MAP)
    who, count = np.unique(catalogue.singer, return_counts=True)
    several = who[count > enrolled]
    found = []
    for _ in range(DRAWS if len(several) > 1 else 0):
        chosen = rng.permutation(several)[: max(1, len(several) // 2)]
        given = np.concatenate(
            [rng.choice(np.flatnonzero(catalogue.singer == name), enrolled, replace=False) for name in chosen]
        )
        found.append(answers.ask(catalogue.voices, catalogue.singer, given, clusters, backend, TagConfig())[0])
    return found


def credits(catalogue: Catalogue, backend: Backend, rng: np.random.Generator) -> Iterator[dict[str, float]]:
    """Yield how well wrong credits are found: with all of them right, and with a part of them swapped, several times.

    Only tracks by singers of several tracks are swapped: of another track no voice can tell.
    """
    clusters = cluster_voices(catalogue.voices, backend, MAP)
    _, at, count = np.unique(catalogue.singer, return_inverse=True, return_counts=True)
    several = np.flatnonzero(count[at] > 1)
    for draw in range(DRAWS + 1):
        credit = catalogue.singer.copy()
        if draw:
            swapped = rng.choice(several, max(2, round(SWAPPED * len(several))), replace=False)
            credit[swapped] = np.roll(credit[swapped], 1)
        frame = pd.DataFrame(
            {"track_id": catalogue.voices.track_ids, "key": [key(name) for name in credit], "name": credit}
        )
        nobody = np.zeros(0, int)
        _, tags = answers.ask(catalogue.voices, catalogue.singer, nobody, clusters, backend, TagConfig(), frame)
        yield {"swapped": draw > 0, **answers.accused(tags, credit != catalogue.singer)}


def released(vectors: Path) -> dict[str, Catalogue]:
    """Return the catalogue of released songs."""
    workspace = Workspace(vectors)
    files = tables.read(workspace, "files", ["uri", "track_id"])
    labels = pd.read_csv(vectors / "truth.csv").dropna().merge(files, on="uri")
    return {"released songs": read(workspace, dict(zip(labels["track_id"], labels["who"], strict=True)))}


def sung(source: Path, workspace: Path) -> dict[str, Catalogue]:
    """Return karaoke with previews, karaoke alone, and its pieces, as the chain embeds them."""
    whole, cut = workspace.with_name(workspace.name + "-whole"), workspace.with_name(workspace.name + "-pieces")
    expected = mix_down(source, whole)
    karaoke = expected[expected["set"] == "karaoke"]
    together = embedded(workspace / "whole", whole, expected)
    pieces = {}
    for seconds in (30, 10):
        folder = cut / f"{seconds}s"
        pieces[seconds] = embedded(workspace / f"{seconds}s", folder, cut_up(karaoke, folder, seconds))
    alone = together.part(np.isin(together.singer, karaoke["singer"].unique()))
    return {
        "karaoke with previews": together,
        "karaoke": alone,
        **{f"karaoke in pieces of {seconds} s": found for seconds, found in pieces.items()},
    }


def cut_up(songs: pd.DataFrame, folder: Path, seconds: int) -> pd.DataFrame:
    """Write every third piece of so many seconds of each song as a file; return them with their singers."""
    rows = []
    for row in songs.itertuples():
        mix, rate = soundfile.read(row.uri, dtype="float32", always_2d=True)
        for i, start in enumerate(range(0, len(mix), 3 * seconds * rate)):
            piece = mix[start : start + seconds * rate].T
            path = folder / f"{row.singer}/{Path(row.uri).stem}-{i}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(audio.flac_bytes(Audio(piece, rate)))
            rows.append({"uri": str(path), "singer": row.singer})
    return pd.DataFrame(rows)


def embedded(workspace: Path, catalogue: Path, expected: pd.DataFrame) -> Catalogue:
    """Run the chain up to `embed` and return its tracks."""
    config = load(
        Path(__file__).parents[2] / "configs" / "local.yaml",
        [
            f"workspace={workspace}",
            f"catalogue={catalogue}",
            "separate.separator=spleeter",
            "stages=[scan, separate, shard, embed]",
        ],
    )
    run_stages(config)
    files = tables.read(Workspace(workspace), "files", ["uri", "track_id"])
    labels = expected[expected["singer"] != ""].merge(files, on="uri")
    return read(Workspace(workspace), dict(zip(labels["track_id"], labels["singer"], strict=True)))


def both_ways(catalogues: dict[str, Catalogue], fit_on: Sequence[str]) -> Iterator[tuple[str, Catalogue, Backend]]:
    """Yield each half of each catalogue with the back-end that was fitted on the other halves of those to fit on."""
    split = {name: halves(catalogue.singer) for name, catalogue in catalogues.items()}
    encoder_id = "measured"
    for way in (0, 1):
        backend = fitted([catalogues[name].part(split[name][1 - way]) for name in fit_on], encoder_id)
        print(f"<!-- {backend.numbers} -->", flush=True)
        for name, catalogue in catalogues.items():
            yield name, catalogue.part(split[name][way]), backend


def measure(catalogues: dict[str, Catalogue], fit_on: Sequence[str]) -> None:
    """Print the tables of names and of credits."""
    asked: dict[tuple[str, int], list[answers.Asked]] = {}
    wrong: dict[str, list[dict[str, float]]] = {}
    for name, half, backend in both_ways(catalogues, fit_on):
        rng = np.random.default_rng(1)
        for enrolled in ENROLLED:
            asked.setdefault((name, enrolled), []).extend(names(half, backend, enrolled, rng))
        wrong.setdefault(name, []).extend(credits(half, backend, rng))
    columns = ["named_right", "named", "strangers_named", "ece", "worst_bin"]
    print(
        "\n| names | known by | named ones right | of those who could be, named | strangers named | "
        "calibration error | worst bin |\n|---|---|---|---|---|---|---|"
    )
    for (name, enrolled), parts in asked.items():
        if parts:
            found = answers.measures(answers.Asked.joined(parts))
            print(f"| {name} | {enrolled} | " + " | ".join(f"{100 * found[column]:.1f} %" for column in columns) + " |")
    print("\n| credits | true ones accused, all true | 5 % swapped: accused | precision | recall |")
    print("|---|---|---|---|---|")
    for name, rows in wrong.items():
        mean = pd.DataFrame(rows).groupby("swapped").mean()
        print(
            f"| {name} | {mean.at[False, 'accused']:.2%} | {mean.at[True, 'accused']:.2%} | "
            f"{mean.at[True, 'precision']:.0%} | {mean.at[True, 'recall']:.0%} |",
            flush=True,
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, run and print."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.answers", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--audio", type=Path)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--workspace", type=Path, default=Path("workspace/answers"))
    arguments = parser.parse_args(argv)
    return engine.guarded(lambda: run(arguments.audio, arguments.vectors, arguments.workspace))


def run(source: Path | None, vectors: Path | None, workspace: Path) -> int:
    """Measure what there is to measure; return the exit status."""
    catalogues = (released(vectors) if vectors else {}) | (sung(source, workspace) if source else {})
    if catalogues:
        measure(catalogues, [name for name in ("released songs", "karaoke with previews") if name in catalogues])
        split = both_ways(catalogues, [name for name in ("released songs",) if name in catalogues] or list(catalogues))
        grouping.compare([(name, half.voices, half.singer, backend) for name, half, backend in split])
    grouping.simulated()
    return 0


if __name__ == "__main__":
    sys.exit(main())
