"""95 % intervals by resampling singers, since the number of singers limits how sure a result is, not that of trials.

A draw gives each singer a weight: how often it was drawn. A target trial has the weight of its singer, a trial between
two singers the product of both weights. That equals repeating the drawn singers' recordings, without the pairs between
copies of one singer, which are neither target nor non-target trials.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from encoder.rates import crossing
from pipeline.scoring.metrics import validate

# Scores are divided into this many groups of equal size, so a rate is off by at most 1/BINS of the trials.
BINS = 4096
LEVEL = 0.95
_DRAWS_AT_ONCE = 16

NONE = (float("nan"), float("nan"))


def _draws(n_singers: int, draws: int, seed: int) -> NDArray[np.float64]:
    """Return how often each singer is drawn: (draws, singers)."""
    rng = np.random.default_rng([seed, 95])
    return rng.multinomial(n_singers, np.full(n_singers, 1 / n_singers), size=draws).astype(float)


def _interval(values: NDArray[np.floating]) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    if len(values) < 10:
        return NONE
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def eer_interval(
    scores: ArrayLike, labels: ArrayLike, left: ArrayLike, right: ArrayLike, draws: int = 200, seed: int = 0
) -> tuple[float, float]:
    """Return the interval of the equal-error rate of trials (t,) between singers `left` and `right` (t,).

    It is NaN for fewer than three singers, of whom no useful sample can be drawn.
    """
    values, targets = validate(scores, labels)
    names, singers = np.unique(np.stack([np.asarray(left), np.asarray(right)]), return_inverse=True)
    if len(names) < 3 or not draws:
        return NONE
    first, second = singers.reshape(2, -1)
    pair, which = np.unique(first * len(names) + second, return_inverse=True)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    group = np.searchsorted(edges, values, side="left")
    shape = (len(pair), len(edges) + 1)
    # Rates rise with falling thresholds, so the best scores come first.
    column = shape[1] - 1 - group
    hits, alarms = (
        csr_array((np.ones(mask.sum()), (which[mask], column[mask])), shape=shape) for mask in (targets, ~targets)
    )
    a, b = np.divmod(pair, len(names))
    found = []
    for weights in np.array_split(_draws(len(names), draws, seed), -(-draws // _DRAWS_AT_ONCE)):
        hit = _cumulated(hits, weights[:, a])
        alarm = _cumulated(alarms, weights[:, a] * weights[:, b])
        usable = (hit[:, -1] > 0) & (alarm[:, -1] > 0)
        hit, alarm = hit[usable] / hit[usable, -1:], alarm[usable] / alarm[usable, -1:]
        start = np.zeros((len(hit), 1))
        found.append(crossing(np.hstack([start, alarm]), 1 - np.hstack([start, hit])))
    return _interval(np.concatenate(found))


def _cumulated(table: csr_array, weights: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return weighted counts (draws, bins), cumulated from the best scores."""
    return np.cumsum((table.T @ weights.T).T, axis=1)


def mean_interval(values: ArrayLike, singers: ArrayLike, draws: int = 200, seed: int = 0) -> tuple[float, float]:
    """Return the interval of the mean of `values (n,)` of `singers (n,)`; NaN for fewer than three singers."""
    _, index = np.unique(np.asarray(singers), return_inverse=True)
    n_singers = int(index.max(initial=-1)) + 1
    if n_singers < 3 or not draws:
        return NONE
    total, count = np.bincount(index, np.asarray(values, dtype=float)), np.bincount(index)
    weights = _draws(n_singers, draws, seed)
    return _interval((weights @ total) / (weights @ count))
