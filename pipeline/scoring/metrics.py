"""Metrics of similarity scores, rankings, classifiers and clusterings.

Conventions: `scores: (n,) float`, higher means more similar; `labels: (n,) bool`, true for a *target* trial (the same
singer). Rates are fractions in [0, 1]. A metric that is undefined for its input (no trials, or only one class) raises
`NotMeasurable` with the reason; non-finite scores raise a `ValueError`.

In all clustering metrics, each item with the predicted label -1 (no cluster) is a cluster of its own: such items cost
recall and are never counted as one big cluster.

ROC, ARI and NMI are scikit-learn's, imported only where they are used, since that takes a second and most workers that
import this module need none of them. B-cubed: Amigo et al., "A comparison of extrinsic clustering evaluation metrics
based on formal constraints", Information Retrieval 12 (2009). Mean normalised rank: Torres, Lattner and Richard,
"Singer identity representation learning using self-supervised techniques", ISMIR 2023.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix

from encoder.rates import equal_error_rate

NOISE = -1  # the label of items in no cluster

Floats = NDArray[np.floating]


class NotMeasurable(ValueError):
    """A metric is undefined for its input; the message says what is missing."""


class Roc(NamedTuple):
    """Operating points in the order of decreasing thresholds: `false_alarm`, `miss`, `threshold`, each (k,)."""

    false_alarm: Floats
    miss: Floats
    threshold: Floats


@dataclass(frozen=True)
class BCubed:
    """B-cubed precision, recall and their harmonic mean, each in [0, 1]."""

    precision: float
    recall: float
    f1: float


def validate(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    """Return scores (n,) and labels (n,) as arrays; raises on unequal lengths, non-finite scores or one class."""
    scores, labels = np.asarray(scores, dtype=float), np.asarray(labels)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(f"scores {scores.shape} and labels {labels.shape} must be lists of one length")
    if not np.isfinite(scores).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(scores))} of {scores.size} scores are not finite")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels must be 0 or 1")
    labels = labels.astype(bool)
    if not scores.size:
        raise NotMeasurable("there are no trials")
    if labels.all() or not labels.any():
        raise NotMeasurable(f"all {labels.size} trials are {'targets' if labels.all() else 'non-targets'}")
    return scores, labels


def roc(scores: ArrayLike, labels: ArrayLike) -> Roc:
    """Return false-alarm and miss rates at every distinct threshold, from (0, 1) at infinity down to (1, 0)."""
    scores, labels = validate(scores, labels)
    from sklearn.metrics import roc_curve

    false_alarm, hit, threshold = roc_curve(labels, scores)
    return Roc(false_alarm, 1.0 - hit, threshold)


def eer(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the equal-error rate: where the ROC, interpolated linearly, has as many misses as false alarms."""
    scores, labels = validate(scores, labels)
    return equal_error_rate(scores[labels], scores[~labels])


def min_dcf(
    scores: ArrayLike,
    labels: ArrayLike,
    p_target: float = 0.01,
    cost_miss: float = 1.0,
    cost_false_alarm: float = 1.0,
) -> float:
    """Return the minimum detection cost over thresholds, relative to always or never accepting (NIST SRE)."""
    if not 0 < p_target < 1:
        raise ValueError(f"p_target must be between 0 and 1, not {p_target}")
    curve = roc(scores, labels)
    cost = cost_miss * p_target * curve.miss + cost_false_alarm * (1 - p_target) * curve.false_alarm
    return float(cost.min() / min(cost_miss * p_target, cost_false_alarm * (1 - p_target)))


def normalised_ranks(matches: ArrayLike, others: ArrayLike) -> Floats:
    """Return the position of each query's true match among the others, from 0 (first) to almost 1 (last).

    `matches: (q,)` are scores of the true match, `others: (q, n)` those of recordings by other singers. The position
    counts from 0 and is divided by n + 1, as in the paper's code; a tie counts as half a place, so that constant scores
    give chance level and not 0.
    """
    matches, others = np.asarray(matches, dtype=float), np.asarray(others, dtype=float)
    if others.ndim != 2 or matches.shape != others.shape[:1]:
        raise ValueError(f"shapes {matches.shape} and {others.shape} are not (q,) and (q, n)")
    if not others.size:
        raise NotMeasurable("there is no query, or no other singer to rank its match among")
    if not (np.isfinite(matches).all() and np.isfinite(others).all()):
        raise ValueError("scores are not finite")
    better = (others > matches[:, None]).sum(1) + 0.5 * (others == matches[:, None]).sum(1)
    return better / (others.shape[1] + 1)


def top_k_hits(scores: ArrayLike, truth: ArrayLike, k: int) -> NDArray[np.bool_]:
    """Return whether the true class is among the k best: `scores (n, classes)`, `truth (n,)` class indices -> (n,).

    A class with the same score as the true one counts as better, so a constant classifier never hits (if k < classes).
    """
    scores, truth = np.asarray(scores, dtype=float), np.asarray(truth, dtype=int)
    if scores.ndim != 2 or truth.shape != scores.shape[:1]:
        raise ValueError(f"shapes {scores.shape} and {truth.shape} are not (n, classes) and (n,)")
    if not scores.size:
        raise NotMeasurable("there is nothing to identify")
    own = scores[np.arange(len(truth)), truth]
    return (scores >= own[:, None]).sum(1) <= k


def _labels(truth: ArrayLike, predicted: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return both labellings as integers, noise as clusters of one; raises if they are empty or differ in length."""
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape or truth.ndim != 1:
        raise ValueError(f"truth {truth.shape} and prediction {predicted.shape} must be lists of one length")
    if not truth.size:
        raise NotMeasurable("there is nothing to cluster")
    noise = predicted == NOISE
    classes, clusters = np.unique(truth, return_inverse=True)[1], np.unique(predicted, return_inverse=True)[1]
    clusters[noise] = len(predicted) + np.arange(np.count_nonzero(noise))
    return classes, clusters


def _contingency(truth: ArrayLike, predicted: ArrayLike) -> csr_matrix:
    """Return the number of items of each name (row) in each cluster (column)."""
    from sklearn.metrics.cluster import contingency_matrix

    return contingency_matrix(*_labels(truth, predicted), sparse=True)


def bcubed(truth: ArrayLike, predicted: ArrayLike) -> BCubed:
    """Return B-cubed of `predicted (n,)` clusters against `truth (n,)` names; a predicted -1 is a cluster of one."""
    table = _contingency(truth, predicted).tocoo()
    of_class, of_cluster = np.asarray(table.sum(1)).ravel(), np.asarray(table.sum(0)).ravel()
    n = table.data.sum()
    precision = float((table.data**2 / of_cluster[table.col]).sum() / n)
    recall = float((table.data**2 / of_class[table.row]).sum() / n)
    return BCubed(precision, recall, 2 * precision * recall / (precision + recall))


def ari(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return the adjusted Rand index in [-0.5, 1]: 1 perfect, 0 chance; -1 in `predicted` is a cluster of one."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(*_labels(truth, predicted)))


def nmi(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return the normalised mutual information in [0, 1] (arithmetic mean); -1 in `predicted` is a cluster of one."""
    from sklearn.metrics import normalized_mutual_info_score

    return float(normalized_mutual_info_score(*_labels(truth, predicted)))


def purity(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return the share of items with their cluster's most frequent name; a predicted -1 is a cluster of one."""
    table = _contingency(truth, predicted)
    return float(table.max(axis=0).sum() / table.sum())


def clustering(truth: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Return all clustering metrics by name; `n_clusters` leaves out noise, which `n_noise` counts."""
    cubed = bcubed(truth, predicted)
    predicted = np.asarray(predicted)
    return {
        "bcubed_precision": cubed.precision,
        "bcubed_recall": cubed.recall,
        "bcubed_f1": cubed.f1,
        "ari": ari(truth, predicted),
        "nmi": nmi(truth, predicted),
        "purity": purity(truth, predicted),
        "n_clusters": float(len(np.unique(predicted[predicted != NOISE]))),
        "n_truth": float(len(np.unique(np.asarray(truth)))),
        "n_noise": float(np.count_nonzero(predicted == NOISE)),
    }
