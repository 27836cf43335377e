import numpy as np
import pytest

from encoder.rates import crossing, equal_error_rate


def test_equal_error_rate_golden():
    assert equal_error_rate(np.array([0.9, 0.8]), np.array([0.1, 0.2])) == 0
    assert equal_error_rate(np.array([0.1, 0.2]), np.array([0.9, 0.8])) == 1
    assert equal_error_rate(np.array([0.9, 0.8, 0.7, 0.2]), np.array([0.6, 0.3, 0.1, 0.0])) == pytest.approx(0.25)
    assert equal_error_rate(np.full(3, 0.5), np.full(7, 0.5)) == pytest.approx(0.5), "constant scores say nothing"
    assert np.isnan(equal_error_rate(np.array([]), np.array([0.5])))


def test_rates_cross_between_their_points():
    assert crossing(np.array([0.0, 0.4, 1.0]), np.array([1.0, 0.2, 0.0])) == pytest.approx(1 / 3)
    both = crossing(np.array([[0.0, 1.0], [0.0, 0.5]]), np.array([[1.0, 0.0], [1.0, 0.5]]))
    np.testing.assert_allclose(both, [0.5, 0.5])
