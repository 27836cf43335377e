"""Alignment and uniformity on the sphere.

Wang and Isola 2020, "Understanding Contrastive Representation Learning through Alignment and Uniformity on the
Hypersphere", section 4.
"""

from __future__ import annotations

import torch
from torch import Tensor


def alignment(first: Tensor, second: Tensor, power: float = 2.0) -> Tensor:
    """Compute the mean distance of positives, to the power.

    Args:
        first: (n, dim) unit vectors.
        second: (n, dim) unit vectors, row i of both from one recording.
        power: alpha in the paper.
    """
    return (first - second).norm(dim=1).pow(power).mean()


def uniformity(x: Tensor, temperature: float = 2.0) -> Tensor:
    """Compute the log of the mean Gaussian potential over all pairs.

    Args:
        x: (n, dim) unit vectors, n > 1.
        temperature: t in the paper.
    """
    pairs = torch.pdist(x).square()
    return pairs.mul(-temperature).exp().mean().log()
