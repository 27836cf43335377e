"""From embeddings to scores to probabilities: the same steps in tagging and in evaluation.

Conventions: `vectors: (n, d) float32`, an embedding per row; a score is the cosine of two embeddings, or an adaptive
normalisation of it (approximately standard normal for two different singers). Only `Calibration` needs labels;
`Normaliser` and the cohort of `AsNorm` do not.

AS-norm: Matejka et al., "Analysis of score normalization in multilingual speaker recognition", Interspeech
2017. Calibration by logistic regression and Cllr: Brummer and du Preez, "Application-independent evaluation
of speaker detection", Computer Speech and Language 20 (2006).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from pipeline.scoring.metrics import NotMeasurable, validate

Vectors = NDArray[np.floating]

# Pairs scored at a time: two gathered blocks of 32768 x 256 float32 are 64 MB.
_PAIRS = 32768
BLOCK = 4096  # rows at a time, so that they fit in a processor's cache
# Whitening does not amplify directions with less than this fraction of the mean variance any further.
_FLOOR = 1e-3


def unit(vectors: ArrayLike) -> Vectors:
    """Return rows (n, d) scaled to length 1; a row of zeros stays zero, and so its cosine with everything is 0."""
    rows = np.asarray(vectors, dtype=np.float32)
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / np.where(length > 0, length, 1.0)


def blockwise(work: Callable[..., np.ndarray], *columns: np.ndarray) -> np.ndarray:
    """Return work's result for columns (n, ...), computed block by block so that intermediate results stay small."""
    n = len(columns[0])
    if n <= BLOCK:
        return work(*columns)
    first = work(*(column[:BLOCK] for column in columns))
    found = np.empty((n, *first.shape[1:]), first.dtype)
    found[:BLOCK] = first
    for start in range(BLOCK, n, BLOCK):
        found[start : start + BLOCK] = work(*(column[start : start + BLOCK] for column in columns))
    return found


def pair_scores(vectors: ArrayLike, left: ArrayLike, right: ArrayLike) -> NDArray[np.floating]:
    """Return the cosine of rows `left (t,)` and `right (t,)` of `vectors (n, d)` -> (t,), in bounded memory."""
    rows = unit(vectors)
    left, right = np.asarray(left, dtype=np.intp), np.asarray(right, dtype=np.intp)
    scores = np.empty(len(left), dtype=np.float32)
    for start in range(0, len(left), _PAIRS):
        part = slice(start, start + _PAIRS)
        np.einsum("td,td->t", rows[left[part]], rows[right[part]], out=scores[part])
    return scores


@dataclass(frozen=True)
class Normaliser:
    """Centres embeddings with `mean (d,)` and, if fitted so, whitens them with `matrix (d, d)`."""

    mean: Vectors
    matrix: Vectors | None = None

    @classmethod
    def fit(cls, vectors: ArrayLike, whiten: bool = False) -> "Normaliser":
        """Fit on unlabelled `vectors (n, d)`, with Ledoit and Wolf's covariance, since n may be smaller than d."""
        from sklearn.covariance import ledoit_wolf

        rows = np.asarray(vectors, dtype=np.float64)
        if rows.ndim != 2 or not len(rows):
            raise NotMeasurable("centring needs at least one embedding")
        mean = rows.mean(0)
        if not whiten:
            return cls(mean.astype(np.float32))
        if len(rows) < 2:
            raise NotMeasurable("whitening needs at least two embeddings")
        if not rows.std(0).any():
            raise NotMeasurable("whitening needs embeddings that are not all the same")
        covariance, _ = ledoit_wolf(rows - mean, assume_centered=True)
        variance, axes = np.linalg.eigh(covariance)
        scale = 1 / np.sqrt(np.maximum(variance, _FLOOR * variance.mean()))
        return cls(mean.astype(np.float32), ((axes * scale) @ axes.T).astype(np.float32))

    def __call__(self, vectors: ArrayLike) -> Vectors:
        """Return `vectors (n, d)` centred, whitened if fitted so, and at unit length."""
        rows = np.asarray(vectors, dtype=np.float32) - self.mean
        return unit(rows if self.matrix is None else rows @ self.matrix)


@dataclass(frozen=True)
class AsNorm:
    """Adaptive symmetric score normalisation against the `top` nearest embeddings of an unlabelled cohort (c, d)."""

    cohort: Vectors
    top: int = 100

    def __post_init__(self) -> None:
        if len(self.cohort) < 2 or self.top < 2:
            raise NotMeasurable(f"AS-norm needs a cohort of 2 or more, not {min(len(self.cohort), self.top)}")

    def statistics(self, vectors: ArrayLike) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Return the mean and standard deviation (n,) of each row's scores with its nearest in the cohort."""
        rows, cohort = unit(vectors), unit(self.cohort)
        # An embedding in the cohort scores 1 with itself, which says nothing about other singers.
        top = min(self.top, len(cohort) - 1)
        mean, std = np.empty(len(rows), np.float32), np.empty(len(rows), np.float32)
        for start in range(0, len(rows), 1024):
            scores = rows[start : start + 1024] @ cohort.T
            scores[scores > 1 - 1e-5] = -np.inf
            nearest = np.partition(scores, -top, axis=1)[:, -top:]
            nearest = np.where(np.isfinite(nearest), nearest, np.nan)
            mean[start : start + 1024] = np.nanmean(nearest, axis=1)
            std[start : start + 1024] = np.nanstd(nearest, axis=1)
        return mean, np.maximum(std, 1e-4)

    def pair_scores(self, vectors: ArrayLike, left: ArrayLike, right: ArrayLike) -> Vectors:
        """Return normalised scores (t,) of rows `left` and `right` of `vectors (n, d)`: the mean of both z-scores."""
        mean, std = self.statistics(vectors)
        left, right = np.asarray(left, dtype=np.intp), np.asarray(right, dtype=np.intp)
        raw = pair_scores(vectors, left, right)
        return ((raw - mean[left]) / std[left] + (raw - mean[right]) / std[right]) / 2

    def matrix(self, queries: ArrayLike, models: ArrayLike) -> NDArray[np.floating]:
        """Return normalised scores (q, m) of every query with every model."""
        raw = unit(queries) @ unit(models).T
        (q_mean, q_std), (m_mean, m_std) = self.statistics(queries), self.statistics(models)
        return ((raw - q_mean[:, None]) / q_std[:, None] + (raw - m_mean) / m_std) / 2


@dataclass(frozen=True)
class Calibration:
    """P(same singer) = sigmoid(slope * score + intercept + log-odds of the prior)."""

    slope: float
    intercept: float

    @classmethod
    def fit(cls, scores: ArrayLike, labels: ArrayLike) -> "Calibration":
        """Fit a logistic regression on `scores (n,)` and `labels (n,)`, both classes with the same total weight.

        So the intercept is for a prior of one half, however many targets there are; `probability` takes the actual
        prior. A small ridge penalty keeps the slope finite if the classes do not overlap.

        Raises:
            NotMeasurable: a class is missing, or targets score no higher than non-targets.
        """
        from sklearn.linear_model import LogisticRegression

        values, targets = validate(scores, labels)
        mean, std = values.mean(), values.std() or 1.0
        model = LogisticRegression(C=100.0, class_weight="balanced")
        model.fit(((values - mean) / std)[:, None], targets)
        slope = float(model.coef_[0, 0]) / std
        if slope <= 0:
            raise NotMeasurable("targets score no higher than non-targets: these scores cannot be calibrated")
        return cls(slope, float(model.intercept_[0]) - slope * mean)

    def probability(self, scores: ArrayLike, prior: float = 0.5) -> NDArray[np.floating]:
        """Return P(same singer) for `scores (...)`, if a fraction `prior` of all pairs is by the same singer."""
        if not 0 < prior < 1:
            raise ValueError(f"prior must be between 0 and 1, not {prior}")
        return expit(self.slope * np.asarray(scores, dtype=np.float64) + self.intercept + logit(prior))


@dataclass(frozen=True)
class Reliability:
    """Mean stated probability, observed fraction of targets, and number of trials of each bin that is used, (k,) each.

    `ece` is the mean gap between stated and observed, weighted by trials; `brier` the mean squared error; `cllr` the
    cost of the log-likelihood ratios in bits: 0 is perfect, and 1 is that of ratios without information.
    """

    stated: NDArray[np.floating]
    observed: NDArray[np.floating]
    count: NDArray[np.intp]
    ece: float
    brier: float
    cllr: float


def reliability(
    probabilities: ArrayLike, labels: ArrayLike, prior: float = 0.5, bins: int = 10, balance: bool = True
) -> Reliability:
    """Return how well probabilities (n,) that were stated for `prior` agree with `labels (n,)`.

    With `balance`, trials are weighted so that a fraction `prior` are targets, as the probabilities assume.
    """
    stated, targets = validate(probabilities, labels)
    weights = np.ones(len(stated))
    if balance:
        weights = np.where(targets, prior / targets.mean(), (1 - prior) / (1 - targets.mean()))
    index = np.minimum((stated * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    mass = np.bincount(index, weights, bins)
    used = count > 0
    mean_stated = np.bincount(index, weights * stated, bins)[used] / mass[used]
    observed = np.bincount(index, weights * targets, bins)[used] / mass[used]
    log_odds = logit(np.clip(stated, 1e-12, 1 - 1e-12)) - logit(prior)
    cost = np.logaddexp(0, -log_odds[targets]).mean() + np.logaddexp(0, log_odds[~targets]).mean()
    return Reliability(
        mean_stated,
        observed,
        count[used],
        ece=float((mass[used] * np.abs(mean_stated - observed)).sum() / mass.sum()),
        brier=float((weights * (stated - targets) ** 2).sum() / weights.sum()),
        cllr=float(cost / (2 * np.log(2))),
    )
