"""Many voices that a track may be: it is compared with the likeliest of them, and the others are counted by a sample.

Up to `ALL` voices a track is compared with each. Of more, an index gives those whose voice is nearest; the likelihood
ratios of the rest, of which none is large, are summed as a sample of them has it on average.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from pipeline.scoring.backend import Backend, Evidence
from pipeline.scoring.index import Index
from pipeline.scoring.neighbours import ratios

ALL = 2000
LIKELY = 32
SOUGHT_WITH = 64
SAMPLE = 256


@dataclass(frozen=True)
class Crowd:
    """The evidence of `voices (m,)`, and the index of their directions where there are many."""

    voices: Evidence
    index: Index | None

    @classmethod
    def of(cls, voices: Evidence) -> "Crowd":
        """Return the crowd of these voices."""
        return cls(voices, None if are_few(voices) else Index().add(voices.direction))

    def likely(self, evidence: Evidence) -> np.ndarray | None:
        """Return the voices (n, k) nearest to each track, -1 where there are fewer; None where all are compared."""
        return None if self.index is None else self.index.search(evidence.direction, LIKELY, SOUGHT_WITH)


def are_few(voices: Evidence) -> bool:
    """Return whether a track is compared with each of these voices."""
    return len(voices) <= ALL


def compared(evidence: Evidence, voices: Evidence, which: np.ndarray | None, backend: Backend) -> np.ndarray:
    """Return the log-likelihood ratios (n, k + 1) of each track with those of `voices (m,)` that `which (n, k)` names.

    The last column is the log of all others' ratios, summed. Where a side knows nothing, or there is none, it is -inf.

    Args:
        which: no voice twice in a row, negative for none; if None, all voices, in their order.
    """
    if which is None:
        return np.hstack([backend.table(evidence, voices), np.full((len(evidence), 1), -np.inf)])
    sample = np.random.default_rng(0).permutation(len(voices))[:SAMPLE]
    others = backend.table(evidence, voices[sample])
    place = np.full(len(voices), -1)
    place[sample] = np.arange(len(sample))
    at, rank = np.nonzero((which >= 0) & (place[which] >= 0))
    others[at, place[which[at, rank]]] = -np.inf
    counted = len(sample) - np.bincount(at, minlength=len(which))
    left = len(voices) - (which >= 0).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = logsumexp(others, axis=1) + np.log(left / np.maximum(counted, 1))
    return np.hstack([ratios(evidence, voices, which, backend), rest[:, None]])
