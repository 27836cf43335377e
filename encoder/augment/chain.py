"""The chain of augmentations, drawn and applied to a batch of views on the training device."""

from __future__ import annotations

import torch
from torch import Tensor

from encoder.config import AugmentConfig


def augment(
    waves: Tensor, lengths: Tensor, singers: Tensor, rate: int, config: AugmentConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """waves: (2n, samples), lengths: (2n,), singers: (n,) -> the same three."""
    return waves, lengths, singers
