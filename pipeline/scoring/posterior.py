"""Who sings: the probability of each enrolled vocalist, and of none of them, for each track.

All enrolled vocalists are equally likely a priori. The share of tracks by none of them is estimated from the catalogue:
it is the prior that the mean of the posteriors equals. A track is judged by its own voice and by that of its cluster
(without the known tracks in it), weighted by the probability q that the track belongs to the cluster:
P = q P(cluster) + (1 - q) P(track).

Saerens, Latinne, Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities" (Neural
Computation 14, 2002).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, logsumexp

ROUNDS = 200
FLOOR = 1e-4  # least share of tracks by enrolled vocalists, and least share by others


def mean_ratio(ratios: np.ndarray, n_enrolled: int) -> np.ndarray:
    """Return the log of the mean likelihood ratio (n,) over the enrolled.

    Args:
        ratios: (n, m) logs; a column may stand for several of the enrolled, with the log of the sum of their ratios.
        n_enrolled: number of enrolled vocalists.
    """
    return logsumexp(ratios, axis=1) - np.log(n_enrolled)


def prior_of_none(anyone: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Return the share of tracks that are by none of the enrolled.

    Args:
        anyone: (n,) from `mean_ratio`.
        weight: (n,) of each track; all the same if not given.
    """
    weight = np.ones(len(anyone)) if weight is None else weight
    none = 0.5
    for _ in range(ROUNDS):
        posterior = expit(logit(none) - anyone)
        new = float(np.clip(((posterior * weight).sum() + 1) / (weight.sum() + 2), FLOOR, 1 - FLOOR))
        if abs(new - none) < 1e-6:
            break
        none = new
    return none


def posterior(ratios: np.ndarray, none: float, n_enrolled: int) -> np.ndarray:
    """Return the probability (n, m) of each enrolled vocalist; the remainder to 1 is that of none.

    Args:
        ratios: (n, m) as for `mean_ratio`.
        none: the prior of none.
        n_enrolled: number of enrolled vocalists.
    """
    odds = ratios + (np.log1p(-none) - np.log(none) - np.log(n_enrolled))
    return np.exp(odds - np.logaddexp(0.0, logsumexp(odds, axis=1))[:, None])


def reweighted(probability: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Return probabilities (n, m) with each vocalist's odds against none multiplied by `factor (n, m)`."""
    scaled = probability * factor
    none = np.maximum(1.0 - probability.sum(1), 1e-12)
    return scaled / (scaled.sum(1) + none)[:, None]


@dataclass(frozen=True)
class Likeliest:
    """The likeliest vocalists of each track, best first: `which (n, k)` and their `probability (n, k)`."""

    which: np.ndarray
    probability: np.ndarray


def likeliest(probability: np.ndarray, k: int) -> Likeliest:
    """Return the k most probable columns of each row of probabilities (n, m)."""
    k = min(k, probability.shape[1])
    best = np.argpartition(-probability, k - 1, axis=1)[:, :k]
    values = np.take_along_axis(probability, best, 1)
    order = np.argsort(-values, axis=1, kind="stable")
    return Likeliest(np.take_along_axis(best, order, 1), np.take_along_axis(values, order, 1))
