"""Prototypes: each singer has a fixed point, and a crop is told apart from all other singers by its cosine to them.

Snell et al. 2017, "Prototypical Networks for Few-shot Learning", eq. 2, with cosine in place of distance. The
prototypes are the vectors that the encoder had for the singers before training (`encoder.training.prototypes`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def prototypical(
    embeddings: Tensor, identities: Tensor, prototypes: Tensor, ambiguous: Tensor, temperature: float
) -> Tensor:
    """Compute the cross-entropy of each crop over the prototypes.

    Args:
        embeddings: (n, dim) unit vectors.
        identities: (n,) int64, row of each crop's own prototype; negative: it has none, and does not count.
        prototypes: (identities, dim) unit vectors.
        ambiguous: (identities, identities) bool, pairs that may be one singer and are not told apart.
        temperature: of the softmax.

    Returns:
        A scalar, the mean over the crops that count.
    """
    counts = identities >= 0
    own = identities.clamp(min=0)
    logits = (embeddings @ prototypes.T / temperature).masked_fill(ambiguous[own], -torch.inf)
    losses = F.cross_entropy(logits, own, reduction="none")
    return (losses * counts).sum() / counts.sum().clamp(min=1)


def attraction(embeddings: Tensor, identities: Tensor, prototypes: Tensor) -> Tensor:
    """Compute the mean cosine distance of each crop from its own prototype; arguments as `prototypical`.

    Returns:
        A scalar in [0, 2].
    """
    counts = identities >= 0
    cosine = (embeddings * prototypes[identities.clamp(min=0)]).sum(1)
    return ((1 - cosine) * counts).sum() / counts.sum().clamp(min=1)
