"""Masked prediction with a random-projection quantiser.

Chiu et al. 2022, "Self-Supervised Learning with Random-Projection Quantizer for Speech Recognition" (BEST-RQ).

Spans of mel frames are replaced by noise. From its contextual frames the encoder predicts, for each masked one, the
code that the mel frames underneath fall on. Projection and codebook are random and never trained, so there is no
clustering step. There is one code, and one contextual frame, for every `stride` mel frames.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def quantise(features: Tensor, stride: int, projection: Tensor, codebook: Tensor) -> Tensor:
    """Find the nearest code of each stack of `stride` mel frames, both at unit norm (section 3.1).

    Args:
        features: (batch, frames, mels).
        stride: mel frames to a code.
        projection: (stride * mels, code_dim).
        codebook: (codes, code_dim), unit norm.

    Returns:
        (batch, ceil(frames / stride)) int64.
    """
    batch, frames, mels = features.shape
    stacked = F.pad(features, (0, 0, 0, -frames % stride)).reshape(batch, -1, stride * mels)
    projected = F.normalize(stacked.float() @ projection, dim=-1)
    return (projected @ codebook.T).argmax(-1)


def mask_spans(n_frames: Tensor, frames: int, start: float, span: int, generator: torch.Generator) -> Tensor:
    """Choose spans of frames to mask.

    Args:
        n_frames: (batch,), real frames of each clip.
        frames: of the batch.
        start: probability that a span begins at a frame.
        span: its length in frames.
        generator: of the random numbers.

    Returns:
        (batch, frames) bool, False beyond each clip's end.
    """
    device = n_frames.device
    begins = torch.rand(len(n_frames), frames, generator=generator, device=device) < start
    covered = F.max_pool1d(F.pad(begins.float(), (span - 1, 0))[:, None], span, stride=1)[:, 0] > 0
    return covered & (torch.arange(frames, device=device) < n_frames[:, None])


def apply_mask(features: Tensor, mask: Tensor, generator: torch.Generator, std: float = 0.1) -> Tensor:
    """Return `features` (batch, frames, mels) with the frames of `mask` (batch, frames) replaced by noise."""
    noise = torch.randn(features.shape, generator=generator, device=features.device, dtype=features.dtype)
    return torch.where(mask[..., None], std * noise, features)


def masked_prediction(logits: Tensor, codes: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the cross-entropy of the masked frames.

    Args:
        logits: (batch, frames, codes).
        codes: (batch, frames) int64.
        mask: (batch, frames) bool.

    Returns:
        Its sum, and the number of masked frames, so that the mean over several workers can be taken.
    """
    count = mask.sum()
    loss = F.cross_entropy(logits[mask].float(), codes[mask], reduction="sum")
    return loss, count
