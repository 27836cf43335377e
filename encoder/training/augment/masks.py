"""Time and frequency masks on log-mel frames: Park et al. 2019, "SpecAugment"."""

from __future__ import annotations

import torch
from torch import Tensor

from encoder.config import AugmentConfig
from encoder.training.augment.draw import draw


def span_mask(starts: Tensor, widths: Tensor, size: int) -> Tensor:
    """One span per row. starts, widths: (batch,) in positions -> (batch, size) bool."""
    place = torch.arange(size, device=starts.device)
    return (place >= starts[:, None]) & (place < (starts + widths)[:, None])


def mask_features(
    features: Tensor, n_frames: Tensor, config: AugmentConfig, generator: torch.Generator, hop_s: float
) -> Tensor:
    """Set a span of frames and one of bands to zero, the clip's mean.

    features: (batch, frames, mels); hop_s: seconds from frame to frame -> like features
    """
    batch, frames, mels = features.shape
    place = torch.rand(2, batch, generator=generator, device=features.device)
    chosen, seconds = draw(config.time_mask_s, batch, generator)
    width = (seconds / hop_s).round() * chosen
    time = span_mask((place[0] * (n_frames - width)).floor(), width, frames)
    chosen, share = draw(config.frequency_mask, batch, generator)
    width = (share * mels).round() * chosen
    band = span_mask((place[1] * (mels - width)).floor(), width, mels)
    return features.masked_fill(time[:, :, None] | band[:, None, :], 0.0)
