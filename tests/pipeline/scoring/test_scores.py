"""Scores equal literal loops, and calibration recovers a known distribution."""

import numpy as np
import pytest

from pipeline.scoring import metrics
from pipeline.scoring.metrics import NotMeasurable
from pipeline.scoring.scores import AsNorm, Calibration, Normaliser, pair_scores, reliability, unit


def test_rows_get_unit_length_and_zero_rows_stay_zero():
    rows = unit([[3.0, 4.0], [0.0, 0.0]])
    assert rows.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]


def test_pair_scores_are_cosines(monkeypatch):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 8))
    left, right = rng.integers(0, 50, 1000), rng.integers(0, 50, 1000)
    expected = [
        vectors[a] @ vectors[b] / np.linalg.norm(vectors[a]) / np.linalg.norm(vectors[b])
        for a, b in zip(left, right, strict=True)
    ]
    monkeypatch.setattr("pipeline.scoring.scores._PAIRS", 300)
    assert pair_scores(vectors, left, right) == pytest.approx(expected, abs=1e-6)
    assert pair_scores(vectors, [], []).shape == (0,)


def test_centring_removes_the_common_part():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(500, 6)) + 5.0
    centred = Normaliser.fit(vectors)(vectors)
    assert np.linalg.norm(unit(vectors).mean(0)) > 0.9 and np.linalg.norm(centred.mean(0)) < 0.05
    assert np.linalg.norm(centred, axis=1) == pytest.approx(np.ones(500), abs=1e-5)


def test_whitening_gives_each_direction_the_same_variance():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(20_000, 4)) * [1.0, 2.0, 4.0, 8.0]
    fitted = Normaliser.fit(vectors, whiten=True)
    white = (vectors - fitted.mean) @ fitted.matrix
    assert np.cov(white, rowvar=False) == pytest.approx(np.eye(4), abs=2e-2)


def test_whitening_helps_if_a_nuisance_direction_dominates():
    rng = np.random.default_rng(0)
    singers = np.repeat(np.arange(20), 10)
    vectors = rng.normal(size=(20, 16))[singers] + 0.5 * rng.normal(size=(200, 16))
    vectors[:, 0] = 20 * rng.normal(size=200)
    left, right = np.triu_indices(200, 1)
    labels = singers[left] == singers[right]
    raw = metrics.eer(pair_scores(vectors, left, right), labels)
    white = metrics.eer(pair_scores(Normaliser.fit(vectors, whiten=True)(vectors), left, right), labels)
    assert white < raw - 0.1


@pytest.mark.parametrize("vectors", [np.zeros((0, 3)), np.ones((4, 3))], ids=["empty", "all the same"])
def test_whitening_reports_what_is_missing(vectors):
    with pytest.raises(NotMeasurable):
        Normaliser.fit(vectors, whiten=True)
    assert np.isfinite(Normaliser.fit(np.random.default_rng(0).normal(size=(3, 8)), whiten=True).matrix).all()


def test_as_norm_agrees_with_a_literal_loop():
    rng = np.random.default_rng(0)
    vectors, cohort = unit(rng.normal(size=(6, 5))), unit(rng.normal(size=(30, 5)))
    left, right = np.triu_indices(6, 1)
    ours = AsNorm(cohort, top=7).pair_scores(vectors, left, right)
    for score, a, b in zip(ours, left, right, strict=True):
        sides = []
        for side in (a, b):
            nearest = np.sort(cohort @ vectors[side])[-7:]
            sides.append((vectors[a] @ vectors[b] - nearest.mean()) / nearest.std())
        assert score == pytest.approx(np.mean(sides), rel=1e-3)
    assert AsNorm(cohort, top=7).matrix(vectors, vectors)[left, right] == pytest.approx(ours, rel=1e-4)


def test_as_norm_leaves_out_the_embedding_itself():
    rng = np.random.default_rng(0)
    cohort = unit(rng.normal(size=(30, 5)))
    alone = AsNorm(cohort[1:], top=20).statistics(cohort[:1])
    within = AsNorm(cohort, top=20).statistics(cohort[:1])
    assert within[0] == pytest.approx(alone[0]) and within[1] == pytest.approx(alone[1])
    with pytest.raises(NotMeasurable, match="cohort"):
        AsNorm(cohort[:1])


def test_calibration_recovers_the_distribution_of_the_scores():
    # Scores N(+1, 1) and N(-1, 1) have log-likelihood ratio 2 * score exactly.
    rng = np.random.default_rng(0)
    labels = rng.random(200_000) < 0.1
    scores = rng.normal(size=labels.size) + np.where(labels, 1.0, -1.0)
    fitted = Calibration.fit(scores, labels)
    assert (fitted.slope, fitted.intercept) == pytest.approx((2.0, 0.0), abs=0.05)
    # Stated at the prior that the trials really have, probabilities are right with no reweighting.
    stated = fitted.probability(scores, prior=0.1)
    assert reliability(stated, labels, prior=0.1, balance=False).ece < 0.01
    assert reliability(fitted.probability(scores), labels).ece < 0.02


def test_calibration_keeps_the_order_and_the_prior_moves_it():
    fitted = Calibration(slope=10.0, intercept=-5.0)
    assert fitted.probability([0.5])[0] == pytest.approx(0.5)
    assert fitted.probability([0.5], prior=0.01)[0] == pytest.approx(0.01)
    assert (np.diff(fitted.probability(np.linspace(-1, 1, 50))) > 0).all()
    with pytest.raises(ValueError, match="prior"):
        fitted.probability([0.5], prior=0.0)


def test_calibration_of_separable_inverted_and_one_sided_scores():
    separable = Calibration.fit([0.9, 0.8, 0.1, 0.2], [1, 1, 0, 0])
    assert np.isfinite(separable.slope) and separable.probability([0.9])[0] > 0.9
    with pytest.raises(NotMeasurable, match="cannot be calibrated"):
        Calibration.fit([0.1, 0.2, 0.9, 0.8], [1, 1, 0, 0])
    with pytest.raises(NotMeasurable, match="all 2 trials are targets"):
        Calibration.fit([0.1, 0.2], [1, 1])
    with pytest.raises(NotMeasurable, match="no trials"):
        Calibration.fit([], [])


def test_reliability_of_perfect_and_of_no_probabilities():
    perfect = reliability([1.0, 1.0, 0.0, 0.0], [1, 1, 0, 0])
    assert (perfect.ece, perfect.brier) == (0, 0) and perfect.cllr < 1e-6
    nothing = reliability([0.5] * 4, [1, 1, 0, 0])
    assert nothing.ece == 0 and nothing.brier == 0.25 and nothing.cllr == pytest.approx(1.0)
    wrong = reliability([0.95, 0.95, 0.95, 0.95], [1, 1, 0, 0])
    assert wrong.stated.tolist() == [pytest.approx(0.95)] and wrong.observed.tolist() == [0.5]
    assert wrong.ece == pytest.approx(0.45) and wrong.count.tolist() == [4]
