"""Who sings: the probabilities of all enrolled vocalists, and of none of them, for each track.

Every enrolled vocalist is as likely beforehand as another; how many tracks are by none of them is estimated from the
catalogue, as the part at which the posteriors' mean repeats the prior. A track is judged by its own voice and by that
of its cluster as a whole (without the known tracks in it), by the probability q that the cluster's vocalist is the
track's: P = q P(cluster) + (1 - q) P(track).

Saerens, Latinne, Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities" (Neural
Computation 14, 2002).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, logsumexp

ROUNDS = 200
FLOOR = 1e-4  # the part of tracks by nobody enrolled, or by somebody, is never taken for nothing


def mean_ratio(ratios: np.ndarray, n_enrolled: int) -> np.ndarray:
    """Return the log of the mean likelihood ratio (n,) over the enrolled.

    Args:
        ratios: (n, m) logs; a column may stand for several of the enrolled, by the log of their ratios' sum.
    """
    return logsumexp(ratios, axis=1) - np.log(n_enrolled)


def prior_of_none(anyone: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Return the part of tracks that is by none of the enrolled.

    Args:
        anyone: (n,) what `mean_ratio` gives. weight: (n,) how much each track counts.
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
    """Return the probability (n, m) of each enrolled vocalist; what is missing to 1 is that of none.

    Args:
        ratios: (n, m) what `mean_ratio` takes. none: the prior of none.
    """
    odds = ratios + (np.log1p(-none) - np.log(none) - np.log(n_enrolled))
    return np.exp(odds - np.logaddexp(0.0, logsumexp(odds, axis=1))[:, None])


def reweighted(probability: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Return probabilities (n, m) for other priors: each vocalist's odds against none times `factor (n, m)`."""
    scaled = probability * factor
    none = np.maximum(1.0 - probability.sum(1), 1e-12)
    return scaled / (scaled.sum(1) + none)[:, None]


@dataclass(frozen=True)
class Likeliest:
    """The likeliest vocalists of each track, best first: `which (n, k)` and their `probability (n, k)`."""

    which: np.ndarray
    probability: np.ndarray


def likeliest(probability: np.ndarray, k: int) -> Likeliest:
    """Return the k best columns of probabilities (n, m) row by row."""
    k = min(k, probability.shape[1])
    best = np.argpartition(-probability, k - 1, axis=1)[:, :k]
    values = np.take_along_axis(probability, best, 1)
    order = np.argsort(-values, axis=1, kind="stable")
    return Likeliest(np.take_along_axis(best, order, 1), np.take_along_axis(values, order, 1))
