"""BYOL: Grill et al. 2020, "Bootstrap Your Own Latent", eq. 2, made symmetric over the two views."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def byol(prediction_1: Tensor, prediction_2: Tensor, target_1: Tensor, target_2: Tensor) -> Tensor:
    """Each view's prediction against the other view's target from the EMA encoder.

    All (n, dim); targets carry no gradient. -> scalar in [0, 8]
    """
    return distance(prediction_1, target_2) + distance(prediction_2, target_1)


def distance(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared distance of the normalised vectors: 2 - 2 cos."""
    cosine = (F.normalize(prediction, dim=1) * F.normalize(target.detach(), dim=1)).sum(1)
    return (2 - 2 * cosine).mean()
