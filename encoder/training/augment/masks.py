"""Time and frequency masks on log-mel frames: Park et al. 2019, "SpecAugment"."""

from __future__ import annotations

import torch
from torch import Tensor

from encoder.training.augment.sample import sample
from encoder.training.config import AugmentConfig


def span_mask(starts: Tensor, widths: Tensor, size: int) -> Tensor:
    """Return a mask (batch, size) bool with one span per row; starts, widths: (batch,) in positions."""
    place = torch.arange(size, device=starts.device)
    return (place >= starts[:, None]) & (place < (starts + widths)[:, None])


def mask_features(
    features: Tensor, n_frames: Tensor, config: AugmentConfig, generator: torch.Generator, hop_s: float
) -> Tensor:
    """Set a span of frames and a span of bands to zero, which is the clip's mean.

    Args:
        features: (batch, frames, mels).
        n_frames: (batch,), real frames of each clip.
        config: how often, and how wide.
        generator: of the random numbers.
        hop_s: seconds from frame to frame.

    Returns:
        (batch, frames, mels).
    """
    batch, frames, mels = features.shape
    place = torch.rand(2, batch, generator=generator, device=features.device)
    chosen, seconds = sample(config.time_mask_s, batch, generator)
    width = (seconds / hop_s).round() * chosen
    time = span_mask((place[0] * (n_frames - width)).floor(), width, frames)
    chosen, share = sample(config.frequency_mask, batch, generator)
    width = (share * mels).round() * chosen
    band = span_mask((place[1] * (mels - width)).floor(), width, mels)
    return features.masked_fill(time[:, :, None] | band[:, None, :], 0.0)
