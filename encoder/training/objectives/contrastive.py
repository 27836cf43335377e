"""Contrastive loss: the two views of a clip attract each other, views of other singers repel.

NT-Xent: Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual Representations" (SimCLR), eq. 1.
Decoupled: Yeh et al. 2022, "Decoupled Contrastive Learning", eq. 6: the positive leaves the denominator.
A queue of the averaged encoder's past embeddings as further negatives: He et al. 2020, "Momentum Contrast" (MoCo),
section 3.2.
"""

from __future__ import annotations

import torch
from torch import Tensor


def nt_xent(
    first: Tensor,
    second: Tensor,
    identities: Tensor,
    temperature: float,
    decoupled: bool = False,
    queue: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Compute the mean over all 2n views of -log of the positive's share.

    Args:
        first: (n, dim) unit vectors.
        second: (n, dim) unit vectors, row i of both from one recording.
        identities: (n,) int64; rows with the same number are known to share a singer and are no negatives.
        temperature: of the softmax.
        decoupled: whether the positive is left out of the denominator.
        queue: past embeddings (q, dim) without gradient, and their identities (q,).
    """
    n = first.shape[0]
    views, who = torch.cat([first, second]), identities.repeat(2)
    similarity = views @ views.T / temperature
    positive = torch.cat([similarity.diagonal(n), similarity.diagonal(-n)])
    negatives = similarity.masked_fill(who[:, None] == who[None, :], -torch.inf)
    if queue is not None:
        past, past_identities = queue
        to_past = views @ past.T / temperature
        negatives = torch.cat([negatives, to_past.masked_fill(who[:, None] == past_identities, -torch.inf)], dim=1)
    if not decoupled:
        negatives = torch.cat([negatives, positive[:, None]], dim=1)
    denominator = negatives.logsumexp(1)
    # A view without any negative, in a batch of one singer, has nothing to be told apart from.
    loss = torch.where(denominator.isneginf(), torch.zeros_like(positive), denominator - positive)
    return loss.mean()
