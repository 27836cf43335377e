"""Intervals over singers equal those from literally repeated trials, and cover what they should."""

import numpy as np
import pytest

from pipeline.evaluate import bootstrap
from pipeline.scoring import metrics


def trials_of(n_singers: int, per_singer: int, rng: np.random.Generator, std: float = 1.0):
    """Return scores, labels, left and right singers of vectors around a centre for each singer."""
    singers = np.repeat(np.arange(n_singers), per_singer)
    vectors = rng.normal(size=(n_singers, 8))[singers] + std * rng.normal(size=(len(singers), 8))
    left, right = np.triu_indices(len(singers), 1)
    scores = (vectors[left] * vectors[right]).sum(1)
    return scores, singers[left] == singers[right], singers[left], singers[right]


def test_agrees_with_repeating_trials_literally():
    scores, labels, left, right = trials_of(8, 5, np.random.default_rng(0))
    literal = []
    for weight in bootstrap._draws(8, 60, seed=3).astype(int):
        times = np.where(labels, weight[left], weight[left] * weight[right])
        literal.append(metrics.eer(np.repeat(scores, times), np.repeat(labels, times)))
    low, high = bootstrap.eer_interval(scores, labels, left, right, draws=60, seed=3)
    assert (low, high) == pytest.approx(tuple(np.quantile(literal, [0.025, 0.975])), abs=5e-3)


def test_contains_the_value_and_shrinks_with_more_singers():
    widths = []
    for n in (6, 60):
        scores, labels, left, right = trials_of(n, 4, np.random.default_rng(1))
        low, high = bootstrap.eer_interval(scores, labels, left, right)
        assert low <= metrics.eer(scores, labels) <= high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_the_width_depends_on_singers_and_not_on_trials():
    rng = np.random.default_rng(2)
    few = bootstrap.eer_interval(*trials_of(6, 4, rng))
    many_trials = bootstrap.eer_interval(*trials_of(6, 30, rng))
    # Some 50 times the trials: drawn over trials, the interval would be 7 times narrower.
    assert many_trials[1] - many_trials[0] > (few[1] - few[0]) / 3


def test_deterministic_and_absent_if_it_would_mean_nothing():
    data = trials_of(6, 4, np.random.default_rng(0))
    assert bootstrap.eer_interval(*data, seed=5) == bootstrap.eer_interval(*data, seed=5)
    assert np.isnan(bootstrap.eer_interval(*trials_of(2, 4, np.random.default_rng(0)))).all()
    assert np.isnan(bootstrap.eer_interval(*data, draws=0)).all()
    assert np.isnan(bootstrap.mean_interval([1.0, 2.0], ["a", "b"])).all()


def test_interval_of_a_mean_draws_whole_singers():
    # Every singer is all right or all wrong: 20 singers are 20 throws, however many items each has.
    rng = np.random.default_rng(0)
    right = (rng.random(20) < 0.5).astype(float)
    low, high = bootstrap.mean_interval(np.repeat(right, 100), np.repeat(np.arange(20), 100), draws=2000)
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 20), rel=0.15)
    assert low < right.mean() < high
