"""Prototypes: each singer has a fixed point, and a crop is told apart from all other singers by its cosine to them.

Snell et al. 2017, "Prototypical Networks for Few-shot Learning", eq. 2, with cosine in place of distance. With a margin
it is that of Deng et al. 2019, "ArcFace", eq. 3: a crop must be nearer to its own prototype by an angle. The prototypes
are the vectors that the encoder had for the singers before training (`encoder.training.prototypes`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def prototypical(
    embeddings: Tensor,
    identities: Tensor,
    prototypes: Tensor,
    ambiguous: Tensor,
    temperature: float,
    margin: float = 0.0,
) -> Tensor:
    """Compute the mean cross-entropy of crops over the prototypes.

    Args:
        embeddings: (n, dim) unit vectors.
        identities: (n,) int64, row of each crop's own prototype; negative: it has none, and does not count.
        prototypes: (identities, dim) unit vectors.
        ambiguous: (identities, identities) bool, pairs that may be one singer and are not told apart.
        temperature: of the softmax.
        margin: angle in radians that is added to the one between a crop and its own prototype.

    Returns:
        A scalar, the mean over the crops that count.
    """
    counts = identities >= 0
    losses = cross_entropies(embeddings, identities, prototypes, ambiguous, temperature, margin)
    return (losses * counts).sum() / counts.sum().clamp(min=1)


def cross_entropies(
    embeddings: Tensor,
    identities: Tensor,
    prototypes: Tensor,
    ambiguous: Tensor,
    temperature: float,
    margin: float = 0.0,
) -> Tensor:
    """Compute the cross-entropy (n,) of each crop over the prototypes; arguments as `prototypical`."""
    own = identities.clamp(min=0)
    cosine = embeddings @ prototypes.T
    if margin:
        right = cosine.gather(1, own[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)
        cosine = cosine.scatter(1, own[:, None], (right.acos() + margin).cos())
    logits = (cosine / temperature).masked_fill(ambiguous[own], -torch.inf)
    return F.cross_entropy(logits, own, reduction="none")


def attraction(embeddings: Tensor, identities: Tensor, prototypes: Tensor) -> Tensor:
    """Compute the mean cosine distance of each crop from its own prototype; arguments as `prototypical`.

    Returns:
        A scalar in [0, 2].
    """
    counts = identities >= 0
    cosine = (embeddings * prototypes[identities.clamp(min=0)]).sum(1)
    return ((1 - cosine) * counts).sum() / counts.sum().clamp(min=1)
