"""Compare tracks with many voices: each with the nearest ones, and with all others together by way of a sample.

Up to `ALL` voices, each track is compared with all of them. If there are more, an index finds the nearest voices; the
likelihood ratios of the others, none of which is large, are summed by extrapolating from a sample.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from pipeline.scoring.backend import Backend
from pipeline.scoring.evidence import Evidence
from pipeline.scoring.index import Index
from pipeline.scoring.neighbours import ratios

ALL = 2000
LIKELY = 32
SOUGHT_WITH = 64
SAMPLE = 256


@dataclass(frozen=True)
class Crowd:
    """Many voices, of which the nearest are searched for.

    Attributes:
        sought: (s,) those that are searched for.
        index: of their directions; None if there are so few voices that all are compared.
    """

    sought: np.ndarray
    index: Index | None

    @classmethod
    def of(cls, voices: Evidence, often: np.ndarray) -> "Crowd":
        """Return the crowd of `voices (m,)`; if they are many, only those that are heard `often (m,)` are searched for.

        In a large catalogue most people are credited on one track, which says too little about any other track.
        """
        sought = np.flatnonzero(often).astype(np.int32)
        return cls(sought, None if are_few(voices) else Index().add(voices.direction[sought]))

    def likely(self, evidence: Evidence) -> np.ndarray | None:
        """Return the voices (n, k) nearest to each track, -1 if there are fewer; None if all are compared."""
        if self.index is None:
            return None
        found = self.index.search(evidence.direction, LIKELY, SOUGHT_WITH)
        return np.where(found >= 0, np.append(self.sought, np.int32(-1))[found], np.int32(-1))


def are_few(voices: Evidence) -> bool:
    """Return whether there are so few voices that each track is compared with all of them."""
    return len(voices) <= ALL


def compared(evidence: Evidence, voices: Evidence, which: np.ndarray | None, backend: Backend) -> np.ndarray:
    """Return the log-likelihood ratios (n, k + 1) of each track with those of `voices (m,)` that `which (n, k)` names.

    The last column is the log of the sum of all other voices' ratios. A ratio is -inf if nothing is known of a side, or
    if there is no voice.

    Args:
        evidence: of the n tracks.
        voices: the evidence of m voices.
        which: each voice at most once per row, negative for none; None for all voices in their order.
        backend: to score with.
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
