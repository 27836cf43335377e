"""Group tracks that share a vocalist: join groups step by step, and keep the likeliest partition on the way.

Every track starts alone. Of all pairs of groups that are neighbours in a graph of nearest voices, the two that most
likely share a vocalist are joined; the evidence of the new group is the sum of both, and its ratios with its neighbours
are computed anew. Of all partitions on the way, the one with the highest posterior is kept. The posterior is the sum of
the log-likelihood ratios of the joins, and the prior of a Chinese restaurant process: the odds that a track joins a
group are the group's size to a concentration that follows from the number of groups. So the evidence decides how many
voices there are, and many songs by a few singers are grouped by what they say together, even if single pairs say
little.

The more voices there are, the more strangers are as similar as one singer's tracks. `among` tells the back-end how
similar a catalogue's strangers are; without that, thousands of them may become one group.

For joins of two large groups, the prior grows with a power of their joint size and not with its factorial, because
calibrated ratios do not grow with the number of tracks as those of the generative model do. Work and memory are
proportional to the number of edges of the graph. Joining stops when the posterior has fallen far below its best.

Brummer and de Villiers, "The speaker partitioning problem" (Odyssey 2010). Heller and Ghahramani, "Bayesian
hierarchical clustering" (ICML 2005). Pitman, "Combinatorial stochastic processes" (2006).
"""

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, gammaln, logit

from pipeline.scoring.backend import Backend
from pipeline.scoring.evidence import Evidence, Sides
from pipeline.scoring.neighbours import nearest, ratios
from pipeline.scoring.strangers import Strangers

CROWD = 2.0  # bound of the concentration, in voices
GROWTH = 0.75  # of the prior with a group's size: 1 is a Chinese restaurant's
A_VOICE = 100  # tracks per voice; no catalogue has more on average
DIP, DIP_A_TRACK = 1000.0, 0.02  # nats below the best posterior, at least and per track, at which joining stops
AROUND = 100  # other groups, the likeliest, that a group may still be joined with
SAMPLE = 2000  # tracks from which the strangers of a large catalogue are estimated
BLOCK = 2048


class Partition(NamedTuple):
    """The groups of n tracks.

    Attributes:
        group: (n,) 0, 1, ...; a track alone is a group too.
        n_voices: how many groups there are.
        gain: log-likelihood ratio of these groups to all tracks being alone.
    """

    group: np.ndarray
    n_voices: int
    gain: float


def among(evidence: Evidence, backend: Backend) -> Backend:
    """Return the back-end with the statistics of the strangers among these tracks."""
    if not len(evidence):
        return backend
    some = evidence[np.random.default_rng(0).permutation(len(evidence))[:SAMPLE]]
    return replace(backend, strangers=Strangers.of(some.direction, agglomerate(some, backend).group))


def agglomerate(evidence: Evidence, backend: Backend, purity: float = 0.5, near: np.ndarray | None = None) -> Partition:
    """Return the likeliest partition that joining passes through.

    Args:
        evidence: of the n tracks.
        backend: to score with.
        purity: probability, given all joins before it, from which a join makes a partition likelier.
        near: (n, k) the result of `pipeline.scoring.neighbours.nearest`; computed if not given.
    """
    n = len(evidence)
    if n < 2:
        return Partition(np.zeros(n, int), n, 0.0)
    left, right, ratio = _edges(evidence, backend, nearest(evidence, backend) if near is None else near)
    groups = _Groups(evidence, backend, left, right)
    margin = float(logit(purity))
    pairs = _likeliest_first(left, right, ratio)
    heap = list(itertools.islice(pairs, 1))  # all pairs with a group in them, but only the next pair of tracks
    prior = log_prior(np.arange(n, 0, -1), n).tolist()
    posterior, gained, joins = [prior[0]], 0.0, 0
    while heap and posterior[-1] > posterior[joins] - max(DIP, n * DIP_A_TRACK):
        score, a, b = heapq.heappop(heap)
        if a < n and (following := next(pairs, None)):
            heapq.heappush(heap, following)
        if groups.alive[a] and groups.alive[b]:
            new, around, scores = groups.join(a, b)
            gained -= score + margin
            posterior.append(gained + prior[len(posterior)])
            joins = len(posterior) - 1 if posterior[-1] > posterior[joins] else joins
            for other, odds in zip(around.tolist(), scores.tolist(), strict=True):
                heapq.heappush(heap, (-odds, new, other))
    return Partition(groups.after(joins), n - joins, posterior[joins] - posterior[0])


def least_ratio(n_tracks: int) -> float:
    """Return the log-odds below which no join is considered: those of a catalogue with `A_VOICE` tracks per voice."""
    return max(0.0, float(np.log(concentration(n_tracks / A_VOICE, n_tracks))))


def _edges(evidence: Evidence, backend: Backend, near: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pairs `left < right` (e,) of neighbours, and their ratios (e,), the likeliest first."""
    n = len(evidence)
    ratio = ratios(evidence, evidence, near, backend).ravel()
    rows, others = np.repeat(np.arange(n), near.shape[1]), near.ravel().astype(np.int64)
    kept = ratio >= least_ratio(n)
    rows, others, ratio = rows[kept], others[kept], ratio[kept]
    keys, at = np.unique(np.minimum(rows, others) * n + np.maximum(rows, others), return_index=True)
    order = np.argsort(-ratio[at], kind="stable")
    return (keys // n)[order], (keys % n)[order], ratio[at][order]


def _likeliest_first(left: np.ndarray, right: np.ndarray, ratio: np.ndarray) -> Iterator[tuple[float, int, int]]:
    """Yield sorted pairs in the form that the heap holds, with only a few in memory at a time."""
    for start in range(0, len(ratio), BLOCK):
        rows = slice(start, start + BLOCK)
        yield from zip((-ratio[rows]).tolist(), left[rows].tolist(), right[rows].tolist(), strict=True)


def log_prior(n_voices: np.ndarray, n_tracks: int) -> np.ndarray:
    """Return the log-prior of partitions into so many groups, without the part that depends on the groups' sizes."""
    a = concentration(n_voices, n_tracks)
    return n_voices * np.log(a) + gammaln(a) - gammaln(a + n_tracks)


def concentration(n_voices: ArrayLike, n_tracks: int) -> np.ndarray:
    """Return the concentration a with which n tracks have a * log(1 + n / a) voices: the odds against two being one.

    It would be infinite if no two tracks shared a voice, so it is at most `CROWD` times the number of voices.
    """
    high = CROWD * np.maximum(np.asarray(n_voices, float), 1.0)
    low = np.full_like(high, 1e-3)
    for _ in range(40):
        middle = np.sqrt(low * high)
        few = middle * np.log1p(n_tracks / middle) < n_voices
        low, high = np.where(few, middle, low), np.where(few, high, middle)
    return high


def growth(size: np.ndarray) -> np.ndarray:
    """Return the log-odds (k,) that a join gets from the size (k,) of the joint group.

    They grow no further from `A_VOICE` tracks on, or the largest group would take in more and more strangers.
    """
    return GROWTH * np.log(np.minimum(size - 1, A_VOICE))


class _Groups:
    """Tracks (nodes 0 ... n-1) and the groups made of them (nodes n ...).

    A new group's evidence replaces that of one of its two parts: `place (2n,)` is the row of each node. `near` has the
    neighbours of each node, alive or not.
    """

    def __init__(self, evidence: Evidence, backend: Backend, left: np.ndarray, right: np.ndarray):
        n = len(evidence)
        self.backend, self.n, self.made = backend, n, n
        self.sums, self.precision, self.size = evidence.vector.copy(), evidence.precision.copy(), np.ones(n)
        self.single = evidence.single.copy()
        self.length = np.linalg.norm(self.sums, axis=1)
        self.variance = np.array(backend.sides(evidence).variance)
        self.place = np.arange(2 * n)
        self.alive = np.arange(2 * n) < n
        self.joined = np.empty((n, 2), np.int64)
        ends = np.concatenate([left, right])
        order = np.argsort(ends, kind="stable")
        self.linked = np.concatenate([right, left])[order]
        self.first = np.searchsorted(ends[order], np.arange(n + 1))
        self.near: dict[int, list[int]] = {}
        self.least = least_ratio(n)

    def join(self, a: int, b: int) -> tuple[int, np.ndarray, np.ndarray]:
        """Join two groups; return the new node, the groups (k,) that it may be joined with next, and their log-odds."""
        new, at, gone = self.made, self.place[a], self.place[b]
        self.made = new + 1
        self.joined[new - self.n] = at, gone
        self.alive[[a, b]], self.alive[new] = False, True
        self.place[new] = at
        for values in (self.sums, self.precision, self.single, self.size):
            values[at] += values[gone]
        self.length[at] = np.linalg.norm(self.sums[at])
        if self.backend.strangers is not None:
            self.variance[at] = self.backend.strangers.variance(self.sums[[at]])[0]
        around = np.unique(np.concatenate([self._neighbours(a), self._neighbours(b)]))
        around = around[self.alive[around]]
        scores = self._scores(at, self.place[around])
        kept = np.flatnonzero(scores >= self.least)
        if len(kept) > AROUND:  # else a voice with thousands of neighbours would pass all of them on at every join
            kept = kept[np.sort(np.argpartition(-scores[kept], AROUND)[:AROUND])]
        around, scores = around[kept], scores[kept]
        self.near[new] = around.tolist()
        for other in self.near[new]:
            self.near.setdefault(other, []).append(new)
        return new, around, scores

    def _neighbours(self, node: int) -> np.ndarray:
        later = np.array(self.near.pop(node, []), np.int64)
        return np.concatenate([self.linked[self.first[node] : self.first[node + 1]], later]) if node < self.n else later

    def _scores(self, at: int, others: np.ndarray) -> np.ndarray:
        """Return the log-odds (k,) that a group shares its vocalist with others, before the prior of their number."""
        cosine = self.sums[others] @ self.sums[at] / np.maximum(self.length[others] * self.length[at], 1e-12)
        ratio = self.backend.llr(cosine, self._sides(others), self._sides(at))
        return ratio + growth(self.size[others] + self.size[at])

    def _sides(self, at: np.ndarray | int) -> Sides:
        return Sides.of(self.length[at], self.precision[at], self.single[at], self.variance[at])

    def after(self, joins: int) -> np.ndarray:
        """Return each track's group (n,), 0, 1, ..., as it was after so many joins."""
        left, right = self.joined[:joins].T
        return connected_components(csr_matrix((np.ones(joins, bool), (left, right)), (self.n, self.n)), False)[1]


def membership(evidence: Evidence, group: np.ndarray, backend: Backend, n_voices: int) -> np.ndarray:
    """Return the probability (n,) that a track shares its vocalist with the others in its group; 0 if it is alone."""
    found = np.zeros(len(group))
    several = np.flatnonzero(np.bincount(group, minlength=1)[group] > 1)
    company = np.unique(group[several], return_inverse=True)[1]
    whole = evidence[several].summed(company, int(company.max(initial=-1)) + 1)
    price = np.log(concentration(n_voices, len(group)))
    for start in range(0, len(several), BLOCK):
        part = evidence[several[start : start + BLOCK]]
        others = whole[company[start : start + BLOCK]] - part
        found[several[start : start + BLOCK]] = expit(backend.pairs(part, others) - price)
    return found


def nearest_group(
    evidence: Evidence, group: np.ndarray, near: np.ndarray, backend: Backend, n_voices: int
) -> np.ndarray:
    """Return the probability (n,) that a track shares its vocalist with the likeliest other group near it."""
    whole = evidence.summed(group, n_voices)
    others = np.where((near >= 0) & (group[near] != group[:, None]), group[near], -1)
    ratio = ratios(evidence, whole, others, backend).max(1, initial=-np.inf)
    return expit(ratio - np.log(concentration(n_voices, len(group))))
