"""Measure how much 20 answers help: to the tracks that `review/` puts first, and to tracks drawn at random.

    python -m jobs.bench.review [--audio AUDIO] [--vectors VECTORS] [--workspace workspace/answers]

AUDIO and VECTORS as in `jobs.bench.answers`; the calibration is fitted on one half of the singers and everything is
measured on the other, both ways round. All answers are true, also for tracks of strangers. The measure is the number of
tracks that have a name afterwards and were not asked about. Prints Markdown.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from jobs.bench.answers import MAP, both_ways
from jobs.bench.singers import Catalogue, command, released, sung
from pipeline.evaluate import answers
from pipeline.scoring.backend import Backend
from pipeline.scoring.centre import centred
from pipeline.sections import TagConfig
from pipeline.stages.cluster import cluster_voices
from pipeline.stages.review import to_review
from pipeline.stages.tag import Tags

ANSWERS = 20
ROUNDS = 4
DRAWS = 10


class Archive:
    """A catalogue without credits, whose owner answers who sings."""

    def __init__(self, catalogue: Catalogue, backend: Backend):
        self.catalogue, self.backend = catalogue, backend
        self.clusters = cluster_voices(catalogue.voices, backend, MAP)

    def tagged(self, given: np.ndarray) -> tuple[answers.Asked, Tags]:
        """Return what tag says when the tracks at `given` are known."""
        mine = self.catalogue
        return answers.ask(mine.voices, mine.singer, given, self.clusters, self.backend, TagConfig(), mine.heard)

    def named(self, given: np.ndarray) -> np.ndarray:
        """Return how many other tracks get a right and a wrong name when those at `given` are known."""
        asked, _ = self.tagged(given)
        return np.array([(asked.named & asked.right).sum(), (asked.named & ~asked.right).sum()])

    def known(self, share: float, rng: np.random.Generator) -> np.ndarray:
        """Return one track each of a `share` of the singers who have several."""
        who, count = np.unique(self.catalogue.singer, return_counts=True)
        several = rng.permutation(who[count > 1])
        chosen = several[: round(share * len(several))]
        return np.array([rng.choice(np.flatnonzero(self.catalogue.singer == name)) for name in chosen], int)

    def random(self, given: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return random tracks that are not known."""
        return rng.choice(np.setdiff1d(np.arange(len(self.catalogue.voices)), given), ANSWERS, replace=False)

    def reviewed(self, given: np.ndarray, n: int = ANSWERS) -> np.ndarray:
        """Return the tracks that `review/` puts first."""
        voices = self.catalogue.voices
        known = {voices.track_ids[i]: str(self.catalogue.singer[i]) for i in given}
        backend = centred(voices, self.backend)
        rows = to_review(voices, backend, self.clusters, known, self.tagged(given)[1], TagConfig())
        return pd.Index(voices.track_ids).get_indexer(rows["track_id"].head(n))

    def in_rounds(self, given: np.ndarray) -> np.ndarray:
        """Return the known tracks after as many answers in several rounds, with a new `review/` before each."""
        for _ in range(ROUNDS):
            given = np.union1d(given, self.reviewed(given, ANSWERS // ROUNDS))
        return given


def outcomes(archive: Archive, share: float) -> Iterator[dict[str, np.ndarray]]:
    """Yield for each draw how many tracks get a right and a wrong name: before, and after answers of each kind."""
    without_chance: dict[bytes, dict[str, np.ndarray]] = {}
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        given = archive.known(share, rng)
        if given.tobytes() not in without_chance:
            without_chance[given.tobytes()] = {
                "before": archive.named(given),
                "reviewed": archive.named(np.union1d(given, archive.reviewed(given))),
                "in_rounds": archive.named(archive.in_rounds(given)),
            }
        yield without_chance[given.tobytes()] | {"random": archive.named(np.union1d(given, archive.random(given, rng)))}


def measure(catalogues: dict[str, Catalogue]) -> None:
    """Print the table."""
    halves = list(both_ways(catalogues, list(catalogues)))
    print(
        f"\n| named without being asked: right, wrong | tracks | known before | before | {ANSWERS} random answers | "
        f"{ANSWERS} by `review/` | {ROUNDS} times {ANSWERS // ROUNDS} by `review/` |\n|---|---|---|---|---|---|---|"
    )
    for name in catalogues:
        archives = [Archive(half, backend) for own, half, backend in halves if own == name]
        n = sum(len(archive.catalogue.voices) for archive in archives)
        for share, words in ((0.0, "none"), (0.5, "one track of half of the singers")):
            draws = pd.DataFrame([row for archive in archives for row in outcomes(archive, share)])
            cells = [draws[column].sum() / DRAWS for column in ("before", "random", "reviewed", "in_rounds")]
            print(
                f"| {name} | {n} | {words} | " + " | ".join(f"{c[0]:.1f}, {c[1]:.1f}" for c in cells) + " |", flush=True
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, run and print."""
    return command("review", __doc__, run, argv)


def run(source: Path | None, vectors: Path | None, workspace: Path) -> int:
    """Measure what there is to measure; return the exit status."""
    measure((released(vectors) if vectors else {}) | (sung(source, workspace) if source else {}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
