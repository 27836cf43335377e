"""BYOL: Grill et al. 2020, "Bootstrap Your Own Latent", eq. 2, made symmetric over the two views."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def byol(prediction_1: Tensor, prediction_2: Tensor, target_1: Tensor, target_2: Tensor) -> Tensor:
    """Compare each view's prediction with the averaged encoder's vector of the other view.

    Args:
        prediction_1: (n, dim), of the first views.
        prediction_2: (n, dim), of the second views.
        target_1: (n, dim), by the averaged encoder; no gradient flows there.
        target_2: likewise, of the second views.

    Returns:
        A scalar in [0, 8].
    """
    return distance(prediction_1, target_2) + distance(prediction_2, target_1)


def distance(prediction: Tensor, target: Tensor) -> Tensor:
    """Compute the mean squared distance, 2 - 2 cos, of the normalised rows of two (n, dim)."""
    cosine = (F.normalize(prediction, dim=1) * F.normalize(target.detach(), dim=1)).sum(1)
    return (2 - 2 * cosine).mean()
