"""A test without labels of what a catalogue has taught, by what did not teach.

Of a track that taught, only every other clip did. The clips in between, and tracks that were too short to teach, are
the test, and their own likeliest partition into vocalists is the witness. The tracks that taught must be told apart
better than before: what two voices have in common by chance in some clips is missing in the others, so what was learned
from wrong groups fails. All tracks together must be told apart no worse: long and short ones are compared on one scale,
so what helps among each of them may still harm when they are mixed.
"""

from typing import NamedTuple

import numpy as np

from pipeline.scoring.adapted import disagreement
from pipeline.scoring.backend import Backend
from pipeline.scoring.evidence import Evidence
from pipeline.scoring.groups import agglomerate, among
from pipeline.scoring.voices import Voices

MOST = 3000  # tracks that teach, and that are tested on, since all their pairs are kept in memory
NEAREST = 20  # look-alikes of each randomly chosen track, in a larger catalogue


def likeliest(evidence: Evidence, backend: Backend) -> np.ndarray:
    """Return the groups (n,) of the likeliest partition of tracks into vocalists."""
    return agglomerate(evidence, among(evidence, backend)).group


def look_alikes(evidence: Evidence, rng: np.random.Generator) -> np.ndarray:
    """Return all rows, or, of more than `MOST`, a random sample with the rows that are most similar to it."""
    n = len(evidence)
    if n <= MOST:
        return np.arange(n)
    drawn = rng.permutation(n)[: MOST // (NEAREST + 1)]
    everyone = evidence.direction
    near = [np.argpartition(-(everyone @ everyone[row]), NEAREST)[: NEAREST + 1] for row in drawn]
    return np.unique(np.concatenate(near))


def witnesses(untaught: Voices, backend: Backend, taught: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the rows of the tracks to test on: those that taught, and all others, or a sample of them.

    Args:
        untaught: all tracks, in what did not teach; those without any such singing are left out.
        backend: to score with.
        taught: rows of the tracks of which other clips did teach.
        seed: of the random sample of a large catalogue.
    """
    evidence = backend.evidence(untaught.means, untaught.seconds)
    rows = np.union1d(taught, look_alikes(evidence, np.random.default_rng(seed)))
    return rows[untaught.seconds[rows] > 0]


class Errors(NamedTuple):
    """Equal-error rates between tracks in what did not teach, by its own likeliest partition; fractions.

    Attributes:
        before: of the tracks that taught, in the clips in between, with the back-end before.
        after: the same with the back-end that the other clips taught.
        all_before, all_after: of these together with all tracks that did not teach.
    """

    before: float = float("nan")
    after: float = float("nan")
    all_before: float = float("nan")
    all_after: float = float("nan")

    @property
    def better(self) -> bool:
        """Whether the tracks that taught are told apart better, and all tracks no worse."""
        return self.after < self.before and self.all_after <= self.all_before


def tested(before: Backend, heard: Voices, taught: np.ndarray, after: Backend, new_means: np.ndarray) -> Errors:
    """Return the equal-error rates between tracks before and after, by the likeliest partition of what did not teach.

    Args:
        before: the back-end before.
        heard: tracks, in what did not teach.
        taught: (n,) bool, those of which other clips did teach.
        after: the back-end that these taught.
        new_means: (n, d) of the same clips, as `after` scores them: by the new encoder, if there is one.
    """
    found: list[float] = []
    for rows in (np.flatnonzero(taught), np.arange(len(taught))):
        means, then = heard.means[rows], new_means[rows]
        witness = likeliest(before.evidence(means, heard.seconds[rows]), before)
        found += [disagreement(before, means, witness), disagreement(after, then, witness)]
    return Errors(*found)
