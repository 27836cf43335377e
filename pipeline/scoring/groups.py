"""Groups of tracks that share a vocalist: the likeliest partition on a path of ever larger groups.

Every track starts alone. Of all pairs of groups that a near-neighbour graph joins, the two that most likely share a
vocalist become one; its evidence is the sum of both, and it is scored anew with its neighbours. Of the partitions
passed on that way the one with the highest posterior is taken: the log-likelihood ratios of its joins, summed, and the
prior of a Chinese restaurant, by which a track joins a group with odds of the group's size to a concentration that
follows from the number of groups. So the number of voices, which no one knows beforehand, comes out of the evidence,
and groups whose single pairs say little (many songs of few singers) are found by what they say together.

For joins of two large groups the prior grows with a power of their sizes' sum, not with its factorial: calibrated
ratios do not grow with the number of tracks as those of the generative model do. Work and memory grow with the graph's
edges, but for the search of neighbours, which compares all with all.

Brummer and de Villiers, "The speaker partitioning problem" (Odyssey 2010). Heller and Ghahramani, "Bayesian
hierarchical clustering" (ICML 2005). Pitman, "Combinatorial stochastic processes" (2006).
"""

import heapq
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, gammaln, logit

from pipeline.scoring.backend import Backend, Evidence

NOISE = -1
NEIGHBOURS = 20
CROWD = 2.0  # bound of the concentration, in voices
GROWTH = 0.75  # of the prior with a group's size: 1 is a Chinese restaurant's
BLOCK = 2048


def neighbours(evidence: Evidence, backend: Backend, k: int = NEIGHBOURS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pairs `left < right` (e,) of which one is among the other's k best, and their ratios (e,)."""
    n = len(evidence)
    k = min(k, n - 1)
    keys, scores = [], []
    for start in range(0, n, BLOCK):
        rows = np.arange(start, min(start + BLOCK, n))
        table = backend.table(evidence[rows], evidence).astype(np.float32)
        table[np.arange(len(rows)), rows] = -np.inf
        best = np.argpartition(-table, k - 1, axis=1)[:, :k]
        low, high = np.minimum(rows[:, None], best), np.maximum(rows[:, None], best)
        keys.append((low.astype(np.int64) * n + high).ravel())
        scores.append(np.take_along_axis(table, best, 1).ravel())
    pairs, at = np.unique(np.concatenate(keys), return_index=True)
    return pairs // n, pairs % n, np.concatenate(scores)[at]


class Partition(NamedTuple):
    """The groups of n tracks.

    Attributes:
        group: (n,) 0, 1, ...; a track alone is a group too.
        n_voices: how many groups there are.
        gain: by how much (a natural log) they are likelier than that all tracks are alone.
    """

    group: np.ndarray
    n_voices: int
    gain: float


def agglomerate(evidence: Evidence, backend: Backend, purity: float = 0.5) -> Partition:
    """Return the likeliest partition on the path of joins.

    A join counts where two groups share a vocalist with probability `purity` or more, given all joins before it.
    """
    n = len(evidence)
    if n < 2:
        return Partition(np.zeros(n, int), n, 0.0)
    margin = float(logit(purity))
    groups = _Groups(evidence, backend)
    heap: list[tuple[float, int, int]] = []

    def offer(left: np.ndarray, right: np.ndarray, scores: np.ndarray) -> None:
        kept = scores >= 0  # groups that more likely than not are two, whatever the prior, are no neighbours
        for score, a, b in zip(scores[kept].tolist(), left[kept].tolist(), right[kept].tolist(), strict=True):
            groups.near[a].add(b)
            groups.near[b].add(a)
            heapq.heappush(heap, (-score, a, b))

    offer(*neighbours(evidence, backend))
    gained = [0.0]
    while heap:
        score, a, b = heapq.heappop(heap)
        if groups.alive[a] and groups.alive[b]:
            new, around = groups.join(a, b)
            gained.append(-score - margin)
            if len(around):
                offer(np.full(len(around), new), around, groups.scores(new, around))
    counts = n - np.arange(len(gained))
    posterior = np.cumsum(gained) + log_prior(counts, n)
    joins = int(np.argmax(posterior))
    return Partition(groups.after(joins), n - joins, float(posterior[joins] - posterior[0]))


def log_prior(n_voices: np.ndarray, n_tracks: int) -> np.ndarray:
    """Return the log-prior of partitions into so many groups, but for the groups' sizes."""
    a = concentration(n_voices, n_tracks)
    return n_voices * np.log(a) + gammaln(a) - gammaln(a + n_tracks)


def concentration(n_voices: ArrayLike, n_tracks: int) -> np.ndarray:
    """Return the concentration a at which n tracks make about a * log(1 + n / a) voices: odds against two being one.

    It has no end where hardly any two tracks share a voice; then it stays at `CROWD` times the number of voices.
    """
    high = CROWD * np.maximum(np.asarray(n_voices, float), 1.0)
    low = np.full_like(high, 1e-3)
    for _ in range(40):
        middle = np.sqrt(low * high)
        few = middle * np.log1p(n_tracks / middle) < n_voices
        low, high = np.where(few, middle, low), np.where(few, high, middle)
    return high


class _Groups:
    """Tracks (nodes 0 ... n-1) and the groups that are made of them (n ...), with room for all that can come to be."""

    def __init__(self, evidence: Evidence, backend: Backend):
        n = len(evidence)
        self.backend, self.n, self.count, self.made = backend, n, n, n
        self.sums = np.concatenate([evidence.vector, np.zeros_like(evidence.vector)])
        self.units = np.concatenate([evidence.direction, np.zeros_like(evidence.direction)])
        self.precision = np.concatenate([evidence.precision, np.zeros(n)])
        self.size = np.ones(2 * n)
        self.alive = np.arange(2 * n) < n
        self.parent = np.arange(2 * n)
        self.near: list[set[int]] = [set() for _ in range(2 * n)]

    def join(self, a: int, b: int) -> tuple[int, np.ndarray]:
        """Make one group of two; return its node and the groups near it."""
        new = self.made
        self.made, self.count = new + 1, self.count - 1
        self.alive[[a, b]], self.alive[new] = False, True
        self.parent[[a, b]] = new
        for values in (self.sums, self.precision, self.size):
            values[new] = values[a] + values[b]
        self.units[new] = self.sums[new] / max(float(np.linalg.norm(self.sums[new])), 1e-12)
        around = np.array(sorted(self.near[a] | self.near[b]), int)
        self.near[a] = self.near[b] = set()
        return new, around[self.alive[around]]

    def scores(self, new: int, around: np.ndarray) -> np.ndarray:
        """Return the log-odds (k,) that groups share their vocalist with `new`, but for the number of groups."""
        precision = self.precision[around]
        own = self.precision[new] / (1 + self.precision[new])
        ratio = self.backend.llr(self.units[around] @ self.units[new], precision / (1 + precision), own)
        return ratio + GROWTH * np.log(self.size[around] + self.size[new] - 1)

    def after(self, joins: int) -> np.ndarray:
        """Return each track's group (n,), 0, 1, ..., as it was after so many joins."""
        nodes = np.arange(self.n + joins)
        root = np.where(self.parent[nodes] < len(nodes), self.parent[nodes], nodes)
        for node in nodes[::-1]:  # a parent comes after its children
            root[node] = root[root[node]]
        return np.unique(root[: self.n], return_inverse=True)[1]


def membership(evidence: Evidence, group: np.ndarray, backend: Backend, n_voices: int) -> np.ndarray:
    """Return the probability (n,) that a track shares its vocalist with the others of its group; 0 if it is alone."""
    whole = evidence.summed(group, int(group.max(initial=-1)) + 1)
    ratio = backend.pairs(evidence, whole[group] - evidence)
    alone = np.bincount(group, minlength=len(whole))[group] < 2
    return np.where(alone, 0.0, expit(ratio - np.log(concentration(n_voices, len(group)))))
