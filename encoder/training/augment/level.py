"""Levels: gain, clipping, and adding one sound to another at a given ratio."""

from __future__ import annotations

import torch
from torch import Tensor


def power(waves: Tensor, lengths: Tensor) -> Tensor:
    """Mean square of each clip over its own length. -> (batch,)"""
    return waves.square().sum(1) / lengths.clamp(min=1)


def factor(db: Tensor) -> Tensor:
    """What a gain of so many dB multiplies samples by. -> like db"""
    return torch.pow(10.0, db / 20)


def add_at(waves: Tensor, others: Tensor, lengths: Tensor, ratio_db: Tensor) -> Tensor:
    """Add `others`, scaled so that each clip lies `ratio_db` (batch,) above it; silence adds nothing."""
    scale = (power(waves, lengths) / power(others, lengths).clamp(min=1e-12)).sqrt()
    return waves + others * (scale * factor(-ratio_db))[:, None]


def clip(waves: Tensor, lengths: Tensor, share: Tensor) -> Tensor:
    """Cut off what exceeds the level that `share` (batch,) of a clip's samples exceed."""
    # Every eighth sample knows the level well enough, and is much faster to sort.
    ordered = waves[:, ::8].abs().sort(dim=1).values
    samples = ordered.shape[1]
    # Padding is silent, and therefore first in order.
    rank = (samples - share * lengths / 8).long().clamp(0, samples - 1)
    ceiling = ordered.gather(1, rank[:, None])
    return waves.clamp(-ceiling, ceiling)
