import numpy as np
import pytest

from pipeline.scoring.posterior import likeliest, mean_ratio, posterior, prior_of_none, reweighted


def drawn(none: float, n: int = 4000, m: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return log-likelihood ratios (n, m) that are calibrated by construction, and who sings (n,), m for nobody."""
    rng = np.random.default_rng(seed)
    who = np.where(rng.random(n) < none, m, rng.integers(0, m, n))
    apart = 2.5  # Gaussian scores of equal variance: ratio = apart * score - apart^2 / 2
    score = rng.normal(size=(n, m)) + apart * (np.arange(m) == who[:, None])
    return apart * score - apart**2 / 2, who


@pytest.mark.parametrize("none", [0.1, 0.5, 0.9])
def test_the_share_of_strangers_is_estimated(none):
    ratios, _ = drawn(none)
    assert prior_of_none(mean_ratio(ratios, 8)) == pytest.approx(none, abs=0.04)


def test_probabilities_are_right_as_often_as_they_say():
    ratios, who = drawn(0.6)
    best = likeliest(posterior(ratios, prior_of_none(mean_ratio(ratios, 8)), 8), 1)
    stated, right = best.probability[:, 0], best.which[:, 0] == who
    for low in np.arange(0, 1, 0.2):
        here = (stated >= low) & (stated < low + 0.2)
        assert abs(stated[here].mean() - right[here].mean()) < 0.06


def test_the_posterior_follows_bayes_rule():
    found = posterior(np.log(np.array([[4.0, 1.0]])), none=0.5, n_enrolled=2)
    np.testing.assert_allclose(found, np.array([[0.25 * 4, 0.25 * 1]]) / (0.25 * 4 + 0.25 + 0.5))


def test_a_column_may_stand_for_several_people():
    apart = np.log(np.array([[4.0, 1.0, 0.5, 0.25]]))
    together = np.log(np.array([[4.0, 1.0, 0.75]]))
    np.testing.assert_allclose(mean_ratio(together, 4), mean_ratio(apart, 4))
    np.testing.assert_allclose(posterior(together, 0.4, 4)[:, :2], posterior(apart, 0.4, 4)[:, :2])


def test_reweighting_multiplies_the_odds():
    found = reweighted(np.array([[0.5, 0.25]]), np.array([[2.0, 1.0]]))
    np.testing.assert_allclose(found, np.array([[1.0, 0.25]]) / 1.5)


def test_the_likeliest_are_sorted_row_by_row():
    found = likeliest(np.array([[0.1, 0.6, 0.3], [0.2, 0.1, 0.0]]), 2)
    assert found.which.tolist() == [[1, 2], [0, 1]]
    assert likeliest(np.array([[0.5]]), 3).which.tolist() == [[0]]
