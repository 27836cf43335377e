"""What groups, names and disagreements are worth: on released songs, on karaoke with previews, and simulated.

    python -m jobs.bench.answers [--audio AUDIO] [--vectors VECTORS] [--workspace workspace/answers]

AUDIO is what `jobs.bench.results` takes; its mixes, and pieces of 10 and 30 s of the karaoke songs, go through the
chain up to `embed`. VECTORS is a workspace with `truth.csv` (`uri`, `who`), one row a file. Everything is fitted on one
half of the singers (of VECTORS alone, if given) and measured on the other, both ways round. Prints Markdown.
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from jobs.bench import grouping
from jobs.bench.singers import Catalogue, command, excerpts, halves, released, sung
from pipeline.evaluate import answers
from pipeline.people.names import key
from pipeline.scoring import calibrate
from pipeline.scoring.backend import Backend
from pipeline.sections import ClusterConfig, TagConfig
from pipeline.stages.cluster import cluster_voices

ENROLLED = (1, 2, 5)
OTHERS = 25  # further known names, each by its only track
DRAWS = 10
SWAPPED = 0.05
MAP = ClusterConfig(umap=False)


def fitted(catalogues: Sequence[Catalogue], encoder_id: str) -> Backend:
    """Return a back-end fitted on these catalogues."""
    return calibrate.fit([catalogue.clips for catalogue in catalogues], encoder_id)


def names(
    catalogue: Catalogue, backend: Backend, enrolled: int, others: int, rng: np.random.Generator
) -> list[answers.Asked]:
    """Return what tag answers when half of the singers with more than `enrolled` tracks are known by so many.

    So many `others` are known, too, by their only track.
    """
    clusters = cluster_voices(catalogue.voices, backend, MAP)
    who, count = np.unique(catalogue.singer, return_counts=True)
    several = who[count > enrolled]
    found = []
    for _ in range(DRAWS if len(several) > 1 else 0):
        chosen = rng.permutation(several)[: max(1, len(several) // 2)]
        given = np.concatenate(
            [rng.choice(np.flatnonzero(catalogue.singer == name), enrolled, replace=False) for name in chosen]
            + [np.flatnonzero(catalogue.singer == name) for name in rng.permutation(who[count == 1])[:others]]
        )
        asked, _ = answers.ask(
            catalogue.voices, catalogue.singer, given, clusters, backend, TagConfig(), catalogue.heard
        )
        found.append(asked)
    return found


def credits(catalogue: Catalogue, backend: Backend, rng: np.random.Generator) -> Iterator[dict[str, float]]:
    """Yield how well wrong credits are found: with all of them right, and with a part of them swapped, several times.

    Only tracks by singers with several tracks are swapped, since for others the voice tells nothing.
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
        _, tags = answers.ask(
            catalogue.voices, catalogue.singer, nobody, clusters, backend, TagConfig(), catalogue.heard, frame
        )
        yield {"swapped": draw > 0, **answers.accused(tags, credit != catalogue.singer)}


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
    asked: dict[tuple[str, int, int], list[answers.Asked]] = {}
    wrong: dict[str, list[dict[str, float]]] = {}
    for name, half, backend in both_ways(catalogues, fit_on):
        rng = np.random.default_rng(1)
        for enrolled, others in product(ENROLLED, (0, OTHERS)):
            if half.singles >= 2 * others:
                parts = asked.setdefault((name, enrolled, others), [])
                parts.extend(names(half, backend, enrolled, others, rng))
        wrong.setdefault(name, []).extend(credits(half, backend, rng))
    columns = ["named_right", "named", "strangers_named", "ece", "worst_bin"]
    print(
        "\n| names | known by | other names | right among the named | named among the known | strangers named | "
        "calibration error | largest error of a bin |\n|---|---|---|---|---|---|---|---|"
    )
    for (name, enrolled, others), parts in asked.items():
        if parts:
            found = answers.measures(answers.Asked.joined(parts))
            print(
                f"| {name} | {enrolled} | {others} | "
                + " | ".join(f"{100 * found[column]:.1f} %" for column in columns)
                + " |"
            )
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
    return command("answers", __doc__, run, argv)


def run(source: Path | None, vectors: Path | None, workspace: Path) -> int:
    """Measure what there is to measure; return the exit status."""
    songs = released(vectors) if vectors else {}
    catalogues = songs | (sung(source, workspace) if source else {})
    if catalogues:
        fit_on = list(songs or catalogues)
        measure(catalogues | {f"{name}, 10 to 30 s": excerpts(found) for name, found in songs.items()}, fit_on)
        split = both_ways(catalogues, fit_on)
        grouping.compare([(name, half.voices, half.singer, backend) for name, half, backend in split])
    grouping.simulated()
    return 0


if __name__ == "__main__":
    sys.exit(main())
