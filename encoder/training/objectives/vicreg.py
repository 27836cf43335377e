"""Variance, invariance, covariance: Bardes et al. 2022, "VICReg", eqs. 1, 3 and 5."""

from __future__ import annotations

import torch
from torch import Tensor


def invariance(first: Tensor, second: Tensor) -> Tensor:
    """Compute the mean squared distance of positives (eq. 5): rows of two (n, dim), not normalised."""
    return (first - second).square().sum(1).mean()


def variance(x: Tensor, target: float = 1.0, epsilon: float = 1e-4) -> Tensor:
    """Compute how far the standard deviation of each dimension falls short of a target (eq. 1).

    Args:
        x: (n, dim), not normalised.
        target: gamma in the paper.
        epsilon: keeps the gradient finite where nothing varies.
    """
    return torch.relu(target - (x.var(0) + epsilon).sqrt()).mean()


def covariance(x: Tensor) -> Tensor:
    """Compute the sum of squared covariances between the dimensions of `x` (n, dim), over their number (eq. 3)."""
    n, dim = x.shape
    centred = x - x.mean(0)
    matrix = centred.T @ centred / (n - 1)
    return (matrix.square().sum() - matrix.diagonal().square().sum()) / dim
