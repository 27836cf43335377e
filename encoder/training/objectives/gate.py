"""The loss gate: pairs of crops with an unusually high loss are left out, since their label is probably wrong.

If some labels are wrong, the logarithms of the losses have two modes. Two normal distributions are fitted to them by
expectation maximisation, and losses that more likely belong to the higher one are left out. Han, Chen and Qian 2024,
"Self-Supervised Learning With Cluster-Aware-DINO for High-Performance Robust Speaker Verification", section III-C; the
gate itself is that of Tao et al. 2022, "Self-Supervised Speaker Recognition with Loss-Gated Learning".
"""

from __future__ import annotations

import torch
from torch import Tensor

ITERATIONS = 20
SHARES, PLACES = (0.8, 0.2), (0.4, 0.95)  # initial weights of the two normals, and the quantiles at their means
NARROWEST = 0.05  # smallest standard deviation of a logarithm
LEAST = 1e-6


def likely(losses: Tensor, past: Tensor) -> Tensor:
    """Return which losses belong to correct labels.

    Args:
        losses: (n,) non-negative.
        past: (m,) that the distributions are fitted to.

    Returns:
        (n,) bool.
    """
    share, mean, deviation = two_normals(past.double().clamp(min=LEAST).log())
    low, high = mean.argsort().tolist()
    x = losses.double().clamp(min=LEAST).log()
    log_odds = log_density(x, share[low], mean[low], deviation[low]) - log_density(
        x, share[high], mean[high], deviation[high]
    )
    # Far below both means, the broader one is always more likely, even if it is the higher one.
    return (log_odds >= 0) | (x <= mean[low])


def two_normals(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Fit a mixture of two normal distributions to values (m,); returns shares, means and deviations, (2,) each."""
    share = x.new_tensor(SHARES)
    mean = torch.quantile(x, x.new_tensor(PLACES))
    deviation = x.std().clamp(min=NARROWEST).repeat(2)
    for _ in range(ITERATIONS):
        belongs = log_density(x[:, None], share, mean, deviation).softmax(1)
        total = belongs.sum(0).clamp(min=LEAST)
        share = total / total.sum()
        mean = (belongs * x[:, None]).sum(0) / total
        variance = (belongs * (x[:, None] - mean).square()).sum(0) / total
        deviation = variance.sqrt().clamp(min=NARROWEST)
    return share, mean, deviation


def log_density(x: Tensor, share: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Return the log of a normal density times its weight, up to a constant; all broadcast."""
    return share.log() - deviation.log() - 0.5 * ((x - mean) / deviation).square()
