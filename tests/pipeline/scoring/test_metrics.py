"""Each measure on perfect, chance, empty, single-class and golden input; the EER equals plain counting."""

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from scipy.stats import norm

from pipeline.scoring import metrics
from pipeline.scoring.metrics import NotMeasurable


def literal_eer(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the EER by its definition: counts at each threshold, then a root finder on the interpolated rates."""
    thresholds = np.concatenate(([np.inf], np.unique(scores)[::-1]))
    false_alarm = np.array([np.mean(scores[~labels] >= t) for t in thresholds])
    miss = np.array([np.mean(scores[labels] < t) for t in thresholds])
    position = np.arange(len(thresholds))
    gap = interp1d(position, miss - false_alarm)
    return float(interp1d(position, false_alarm)(brentq(gap, 0, len(thresholds) - 1)))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("decimals", [1, 8], ids=["ties", "no ties"])
def test_eer_agrees_with_counting(seed, decimals):
    rng = np.random.default_rng(seed)
    labels = rng.random(300) < 0.2
    scores = np.round(rng.normal(size=300) + 1.5 * labels, decimals)
    assert metrics.eer(scores, labels) == pytest.approx(literal_eer(scores, labels), abs=1e-9)


def test_eer_of_two_gaussians_equals_the_closed_form():
    rng = np.random.default_rng(0)
    labels = np.arange(400_000) % 2 == 0
    scores = rng.normal(size=labels.size) + 2.0 * labels
    assert metrics.eer(scores, labels) == pytest.approx(norm.cdf(-1.0), abs=2e-3)


def test_eer_perfect_inverted_chance_and_golden():
    assert metrics.eer([0.9, 0.8, 0.1, 0.2], [1, 1, 0, 0]) == 0.0
    assert metrics.eer([0.1, 0.2, 0.9, 0.8], [1, 1, 0, 0]) == 1.0
    assert metrics.eer([0.5] * 10, [1] * 3 + [0] * 7) == pytest.approx(0.5)
    # Threshold 0.6 misses one target of four and lets one non-target of four through.
    scores, labels = [0.9, 0.8, 0.7, 0.4, 0.6, 0.3, 0.2, 0.1], [1, 1, 1, 1, 0, 0, 0, 0]
    assert metrics.eer(scores, labels) == pytest.approx(0.25)


@pytest.mark.parametrize("measure", [metrics.eer, metrics.min_dcf, metrics.roc])
def test_input_that_does_not_define_a_measure_is_refused(measure):
    with pytest.raises(NotMeasurable, match="no trials"):
        measure([], [])
    with pytest.raises(NotMeasurable, match="targets"):
        measure([0.1, 0.2], [1, 1])
    with pytest.raises(NotMeasurable, match="non-targets"):
        measure([0.1, 0.2], [0, 0])
    with pytest.raises(ValueError, match="1 of 2 scores are not finite"):
        measure([0.1, np.nan], [0, 1])
    with pytest.raises(ValueError, match="one length"):
        measure([0.1, 0.2], [0])
    with pytest.raises(ValueError, match="0 or 1"):
        measure([0.1, 0.2], [0, 2])


def test_min_dcf_perfect_chance_and_golden():
    assert metrics.min_dcf([0.9, 0.8, 0.1, 0.2], [1, 1, 0, 0]) == 0.0
    assert metrics.min_dcf([0.5] * 4, [1, 1, 0, 0]) == 1.0
    # Above 0.7: three of four targets, no non-target; the cost is 0.25 of always saying no.
    scores, labels = [0.9, 0.8, 0.75, 0.4, 0.7, 0.3, 0.2, 0.1], [1, 1, 1, 1, 0, 0, 0, 0]
    assert metrics.min_dcf(scores, labels, p_target=0.01) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="p_target"):
        metrics.min_dcf(scores, labels, p_target=1.0)


def test_roc_runs_from_nothing_to_everything():
    curve = metrics.roc(np.random.default_rng(0).normal(size=100), np.arange(100) % 3 == 0)
    assert (curve.false_alarm[0], curve.miss[0]) == (0.0, 1.0)
    assert (curve.false_alarm[-1], curve.miss[-1]) == (1.0, 0.0)
    assert (np.diff(curve.false_alarm) >= 0).all() and (np.diff(curve.miss) <= 0).all()


def test_normalised_rank_perfect_last_tied_and_chance():
    others = np.tile(np.linspace(0.0, 0.5, 512), (3, 1))
    assert metrics.normalised_ranks([0.9, -1.0, 0.9], others) == pytest.approx([0, 512 / 513, 0])
    assert metrics.normalised_ranks([0.0], np.zeros((1, 512))) == pytest.approx(256 / 513)
    rng = np.random.default_rng(0)
    chance = metrics.normalised_ranks(rng.normal(size=2000), rng.normal(size=(2000, 64)))
    assert chance.mean() == pytest.approx(0.5, abs=0.02)
    with pytest.raises(NotMeasurable):
        metrics.normalised_ranks([], np.zeros((0, 512)))
    with pytest.raises(ValueError, match="finite"):
        metrics.normalised_ranks([np.nan], np.zeros((1, 4)))


def test_top_k_golden_and_constant():
    scores = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.9, 0.5, 0.1]])
    assert metrics.top_k_hits(scores, [0, 1, 2], 1).tolist() == [True, False, False]
    assert metrics.top_k_hits(scores, [0, 1, 2], 2).tolist() == [True, True, False]
    assert not metrics.top_k_hits(np.ones((3, 3)), [0, 1, 2], 1).any()
    with pytest.raises(NotMeasurable):
        metrics.top_k_hits(np.zeros((0, 3)), [], 1)


def literal_bcubed(truth, predicted):
    """Return the measure by its definition, item by item."""
    n = len(truth)
    pairs = [[(truth[i] == truth[j], predicted[i] == predicted[j]) for j in range(n)] for i in range(n)]
    precision = np.mean([sum(t and p for t, p in row) / sum(p for _, p in row) for row in pairs])
    recall = np.mean([sum(t and p for t, p in row) / sum(t for t, _ in row) for row in pairs])
    return precision, recall


@pytest.mark.parametrize("seed", range(4))
def test_bcubed_agrees_with_the_definition(seed):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(0, 5, 60), rng.integers(0, 7, 60)
    ours = metrics.bcubed(truth, predicted)
    assert (ours.precision, ours.recall) == pytest.approx(literal_bcubed(truth, predicted))
    assert ours.f1 == pytest.approx(2 / (1 / ours.precision + 1 / ours.recall))


def test_bcubed_perfect_golden_and_noise():
    truth = ["ann", "ann", "bob", "bob"]
    assert metrics.bcubed(truth, [7, 7, 3, 3]).f1 == 1.0
    one = metrics.bcubed(truth, [0, 0, 0, 0])
    assert (one.precision, one.recall) == (0.5, 1.0)
    # Four times "no cluster" is four clusters of one, not one cluster of four.
    noise = metrics.bcubed(truth, [-1, -1, -1, -1])
    assert (noise.precision, noise.recall) == (1.0, 0.5)
    mixed = metrics.bcubed(truth, [0, -1, 1, 1])
    assert (mixed.precision, mixed.recall) == (1.0, 0.75)


def test_clustering_returns_every_measure():
    truth, predicted = ["a", "a", "b", "b", "c"], [0, 0, 1, 1, -1]
    values = metrics.clustering(truth, predicted)
    assert values["ari"] == values["nmi"] == values["purity"] == values["bcubed_f1"] == 1.0
    assert (values["n_clusters"], values["n_truth"], values["n_noise"]) == (2, 3, 1)
    assert metrics.purity(truth, [0] * 5) == pytest.approx(0.4)


def test_clustering_chance_single_class_and_empty():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 5, 4000), rng.integers(0, 5, 4000)
    assert metrics.ari(truth, predicted) == pytest.approx(0, abs=0.01)
    assert metrics.nmi(truth, predicted) == pytest.approx(0, abs=0.01)
    assert metrics.bcubed(["a"] * 4, [0] * 4).f1 == 1.0 and metrics.ari(["a"] * 4, [0] * 4) == 1.0
    for measure in (metrics.bcubed, metrics.ari, metrics.nmi, metrics.purity, metrics.clustering):
        with pytest.raises(NotMeasurable):
            measure([], [])
        with pytest.raises(ValueError, match="one length"):
            measure([1, 2], [1])
