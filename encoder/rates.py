"""The equal-error rate of trials, for validation during training and for evaluation."""

import numpy as np
from numpy.typing import NDArray


def equal_error_rate(targets: NDArray[np.floating], others: NDArray[np.floating]) -> float:
    """Return the rate at which misses and false alarms, interpolated linearly between thresholds, are equal.

    Args:
        targets: (n,) scores of trials with the same singer.
        others: (m,) scores of trials with different singers.

    Returns:
        A rate in [0, 1]; NaN if there are no trials of one kind.
    """
    if not len(targets) or not len(others):
        return float("nan")
    thresholds = np.unique(np.concatenate([targets, others]))
    misses = np.searchsorted(np.sort(targets), thresholds) / len(targets)
    alarms = 1 - np.searchsorted(np.sort(others), thresholds) / len(others)
    return float(crossing(np.append(0.0, alarms[::-1]), np.append(1.0, misses[::-1])))


def crossing(false_alarm: NDArray[np.floating], miss: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the rate (...) at which rising false alarms and falling misses, (..., k) each, are equal."""
    above = miss - false_alarm
    after = np.argmax(above <= 0, axis=-1)[..., None]
    before = np.maximum(after - 1, 0)
    high, low = np.take_along_axis(above, before, -1), np.take_along_axis(above, after, -1)
    span = np.where(high > low, high - low, 1.0)
    start, end = np.take_along_axis(false_alarm, before, -1), np.take_along_axis(false_alarm, after, -1)
    return (start + (end - start) * high / span)[..., 0]
