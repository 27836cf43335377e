"""The nearest voices of each voice: the graph that groups and the map are made from.

Up to `EXACT` voices, all are compared with all, block by block. If there are more, an index finds candidates, and these
are compared exactly; work and memory then grow hardly faster than the number of voices.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from pipeline.scoring.backend import Backend
from pipeline.scoring.evidence import Evidence
from pipeline.scoring.index import Index

NEIGHBOURS = 20
EXACT = 10_000
CANDIDATES = 40  # that are compared exactly
BLOCK = 2048
CACHED = 64  # rows at a time, so that their neighbours' vectors fit in a processor's cache

T = TypeVar("T")


def nearest(evidence: Evidence, backend: Backend, k: int = NEIGHBOURS) -> np.ndarray:
    """Return the k others (n, k) that most likely share each track's vocalist, in no order; -1 if there are fewer."""
    if len(evidence) <= max(EXACT, k + 1):
        return _exact(evidence, backend, k)
    directions = evidence.direction
    return best(evidence, backend, Index().add(directions).search(directions, CANDIDATES + 1), k)


def ratios(left: Evidence, right: Evidence, which: np.ndarray, backend: Backend) -> np.ndarray:
    """Return the log-likelihood ratios (n, k) of each of `left (n,)` with those of `right` that `which (n, k)` names.

    A ratio is -inf if nothing is known of a side, or if `which` is negative.
    """
    directions, sides, known = right.direction, backend.sides(right), right.precision > 1e-9

    def block(rows: slice) -> np.ndarray:
        part, other = left[rows], which[rows]
        cosine = _cosines(part.direction, directions, other)
        ratio = backend.llr(cosine, backend.sides(part)[:, None], sides[other])
        said = (other >= 0) & known[other] & (part.precision[:, None] > 1e-9)
        return np.where(said, ratio, -np.inf).astype(np.float32)

    found = in_blocks(block, len(which))
    return np.concatenate(found) if found else np.empty(which.shape, np.float32)


def _cosines(left: np.ndarray, right: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Return the cosines (n, k) of `left (n, d)` with those of `right (m, d)` that `which (n, k)` names."""
    found = np.empty(which.shape, np.float32)
    for start in range(0, len(which), CACHED):
        rows = slice(start, start + CACHED)
        np.matmul(right[which[rows]], left[rows, :, None], out=found[rows, :, None])
    return found


def in_blocks(work: Callable[[slice], T], n: int, every: int = 1) -> list[T]:
    """Return the results of work on each (or each `every`-th) block of n rows, in order; all processors are used."""
    blocks = [slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK * every)]
    if len(blocks) < 2:
        return [work(rows) for rows in blocks]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, blocks))


def best(
    evidence: Evidence, backend: Backend, candidates: np.ndarray, k: int, rows: np.ndarray | None = None
) -> np.ndarray:
    """Return the k likeliest of each track's candidates, without the track itself; -1 if there are fewer.

    Args:
        evidence: of the n tracks.
        backend: to score with.
        candidates: (m, c) tracks, negative for none.
        k: how many.
        rows: (m,) the tracks whose candidates they are; all n if not given.

    Returns:
        (m, k), in no order.
    """
    own = np.arange(len(candidates)) if rows is None else rows
    others = np.where(candidates == own[:, None], -1, candidates)
    ratio = ratios(evidence if rows is None else evidence[rows], evidence, others, backend)
    at = np.argpartition(-ratio, k - 1, axis=1)[:, :k]
    chosen = np.take_along_axis(others, at, 1)
    return np.where(np.isfinite(np.take_along_axis(ratio, at, 1)), chosen, -1).astype(np.int32)


def _exact(evidence: Evidence, backend: Backend, k: int) -> np.ndarray:
    n = len(evidence)
    k = min(k, max(n - 1, 0))
    found = np.empty((n, k), np.int32)
    for start in range(0, n if k else 0, BLOCK):
        rows = np.arange(start, min(start + BLOCK, n))
        table = backend.table(evidence[rows], evidence).astype(np.float32)
        table[np.arange(len(rows)), rows] = -np.inf
        found[rows] = np.argpartition(-table, k - 1, axis=1)[:, :k]
    return found
