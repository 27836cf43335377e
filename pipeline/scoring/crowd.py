"""Compare tracks with many people: each with those nearby, and with all others together by way of a sample.

Up to `ALL` people, each track is compared with all of them. If there are more, it is compared with those who are
credited on the tracks most similar to it; the likelihood ratios of the others, few of which are large, are summed by
extrapolating from a sample.
"""

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import logsumexp

from pipeline.scoring.backend import Backend
from pipeline.scoring.evidence import Evidence
from pipeline.scoring.neighbours import BLOCK, ratios

ALL = 2000
LIKELY = 32
SAMPLE = 128
NOBODY = -1  # in place of the index of a person


def are_few(n_people: int) -> bool:
    """Return whether there are so few people that each track is compared with all of them."""
    return n_people <= ALL


def nearby(near: np.ndarray, credits: csr_matrix) -> np.ndarray:
    """Return the people (n, LIKELY) who are credited on the tracks nearest to each track, NOBODY if there are fewer.

    Args:
        near: (n, k) the nearest other tracks, -1 if there are fewer.
        credits: (n, m) positive where a track credits a person.
    """
    found = np.full((len(near), LIKELY), NOBODY, np.int32)
    for start in range(0, len(near), BLOCK):
        rows = slice(start, start + BLOCK)
        found[rows] = most_often(indicator(near[rows], len(near)) @ credits)
    return found


def indicator(which: np.ndarray, n_columns: int) -> csr_matrix:
    """Return a matrix (n, n_columns) with 1 where `which (n, k)` names a column for a row, negative for none."""
    row, rank = np.nonzero(which >= 0)
    return csr_matrix((np.ones(len(row)), (row, which[row, rank])), (len(which), n_columns))


def most_often(counts: csr_matrix) -> np.ndarray:
    """Return the people (g, LIKELY) with the highest `counts (g, m)` in each row, NOBODY if there are fewer."""
    row = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    order = np.lexsort((counts.indices, -counts.data, row))
    rank = np.arange(len(row)) - counts.indptr[row]
    taken = rank < LIKELY
    found = np.full((counts.shape[0], LIKELY), NOBODY, np.int32)
    found[row[taken], rank[taken]] = counts.indices[order][taken]
    return found


def also(which: np.ndarray, at: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Return the people `which (n, k)` of each track and further ones, each once in a row, NOBODY before them for none.

    Args:
        which: (n, k), negative for none.
        at: (r,) the rows that get further people, ascending.
        person: (r,) who they are.
    """
    rank = np.arange(len(at)) - np.searchsorted(at, at)
    further = np.full((len(which), rank.max(initial=-1) + 1), NOBODY, which.dtype)
    further[at, rank] = person
    found = np.sort(np.hstack([which, further]), axis=1)
    found[:, 1:][found[:, 1:] == found[:, :-1]] = NOBODY
    found.sort(axis=1)
    return found[:, -max(1, (found != NOBODY).sum(1).max(initial=0)) :]


def place(which: np.ndarray | None, at: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Return the place (r,) of each `person (r,)` among those that rows `at (r,)` are compared with, `which (n, k)`."""
    return person if which is None else (which[at] == person[:, None]).argmax(1)


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
    place_of = np.full(len(voices), -1)
    place_of[sample] = np.arange(len(sample))
    at, rank = np.nonzero((which >= 0) & (place_of[which] >= 0))
    others[at, place_of[which[at, rank]]] = -np.inf
    counted = len(sample) - np.bincount(at, minlength=len(which))
    left = len(voices) - (which >= 0).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = logsumexp(others, axis=1) + np.log(left / np.maximum(counted, 1))
    return np.hstack([ratios(evidence, voices, which, backend), rest[:, None]])
