"""Variance, invariance, covariance: Bardes et al. 2022, "VICReg", eqs. 1, 3 and 5."""

from __future__ import annotations

import torch
from torch import Tensor


def invariance(first: Tensor, second: Tensor) -> Tensor:
    """Mean squared distance of positives (eq. 5). first, second: (n, dim), not normalised -> scalar."""
    return (first - second).square().sum(1).mean()


def variance(x: Tensor, target: float = 1.0, epsilon: float = 1e-4) -> Tensor:
    """How far each dimension's deviation over the batch falls short of the target (eq. 1). x: (n, dim)."""
    return torch.relu(target - (x.var(0) + epsilon).sqrt()).mean()


def covariance(x: Tensor) -> Tensor:
    """Sum of squared covariances between dimensions, over the dimensions (eq. 3). x: (n, dim)."""
    n, dim = x.shape
    centred = x - x.mean(0)
    matrix = centred.T @ centred / (n - 1)
    return (matrix.square().sum() - matrix.diagonal().square().sum()) / dim
