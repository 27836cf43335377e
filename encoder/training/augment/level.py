"""Levels: gain, clipping, and adding one sound to another at a given ratio. Waves are (batch, samples)."""

from __future__ import annotations

import torch
from torch import Tensor


def power(waves: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean square (batch,) of each clip over its own length (batch,)."""
    return waves.square().sum(1) / lengths.clamp(min=1)


def db_to_gain(db: Tensor) -> Tensor:
    """Return what a gain of so many decibels multiplies samples by."""
    return torch.pow(10.0, db / 20)


def add_at(waves: Tensor, others: Tensor, lengths: Tensor, ratio_db: Tensor) -> Tensor:
    """Add another sound to each clip, `ratio_db` (batch,) below it in level; silence adds nothing."""
    scale = (power(waves, lengths) / power(others, lengths).clamp(min=1e-12)).sqrt()
    return waves + others * (scale * db_to_gain(-ratio_db))[:, None]


def clip(waves: Tensor, lengths: Tensor, share: Tensor) -> Tensor:
    """Clip each wave at the level that `share` (batch,) of its samples exceed."""
    # Every eighth sample gives the level well enough, and is much faster to sort.
    ordered = waves[:, ::8].abs().sort(dim=1).values
    samples = ordered.shape[1]
    # Padding is silent, so it comes first in order.
    rank = (samples - share * lengths / 8).long().clamp(0, samples - 1)
    ceiling = ordered.gather(1, rank[:, None])
    return waves.clamp(-ceiling, ceiling)
