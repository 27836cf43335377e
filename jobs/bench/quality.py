"""How close separated vocals are to the true ones, in dB: higher is better, and 0 dB is as much error as voice.

SI-SDR: Le Roux, Wisdom, Erdogan and Hershey, "SDR – half-baked or well done?", ICASSP 2019, without mean removal.
Both signals are (n,) and have the same sample rate.
"""

import math

import numpy as np


def si_sdr(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Return the scale-invariant signal-to-distortion ratio of an estimate, dB.

    Args:
        estimate: (n,) float.
        truth: (n,) float, not all zero.

    Raises:
        ValueError: lengths differ, or the truth is silent, where the measure means nothing.
    """
    if estimate.shape != truth.shape or estimate.ndim != 1:
        raise ValueError(f"estimate {estimate.shape} and truth {truth.shape} must be two signals of one length")
    e, t = estimate.astype(np.float64), truth.astype(np.float64)
    power = t @ t
    if power == 0:
        raise ValueError("the truth is silent")
    target = t * (e @ t) / power
    error = e - target
    return 10 * math.log10(max(float(target @ target), 1e-30) / max(float(error @ error), 1e-30))
