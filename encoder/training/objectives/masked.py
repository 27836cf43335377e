"""Masked prediction with a random-projection quantiser: Chiu et al. 2022, "Self-Supervised Learning with
Random-Projection Quantizer for Speech Recognition" (BEST-RQ).

Spans of mel frames are replaced by noise; from its contextual frames the encoder names, for each masked one, the
code that the unmasked mel frames fall on. Projection and codebook are random and never trained, so there is no
clustering step. Codes and contextual frames run `stride` mel frames apart.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def quantise(features: Tensor, stride: int, projection: Tensor, codebook: Tensor) -> Tensor:
    """The nearest code of each stack of `stride` mel frames, both at unit norm (section 3.1).

    features: (batch, frames, mels); projection: (stride * mels, code_dim); codebook: (codes, code_dim) at unit
    norm -> (batch, ceil(frames / stride)) int64
    """
    batch, frames, mels = features.shape
    stacked = F.pad(features, (0, 0, 0, -frames % stride)).reshape(batch, -1, stride * mels)
    projected = F.normalize(stacked.float() @ projection, dim=-1)
    return (projected @ codebook.T).argmax(-1)


def mask_spans(n_frames: Tensor, frames: int, start: float, span: int, generator: torch.Generator) -> Tensor:
    """Spans of `span` frames, each valid frame beginning one with probability `start`.

    n_frames: (batch,) -> (batch, frames) bool, False beyond each clip's end.
    """
    device = n_frames.device
    begins = torch.rand(len(n_frames), frames, generator=generator, device=device) < start
    covered = F.max_pool1d(F.pad(begins.float(), (span - 1, 0))[:, None], span, stride=1)[:, 0] > 0
    return covered & (torch.arange(frames, device=device) < n_frames[:, None])


def apply_mask(features: Tensor, mask: Tensor, generator: torch.Generator, deviation: float = 0.1) -> Tensor:
    """Replace masked frames by noise. features: (batch, frames, mels), mask: (batch, frames) -> like features."""
    noise = torch.randn(features.shape, generator=generator, device=features.device, dtype=features.dtype)
    return torch.where(mask[..., None], deviation * noise, features)


def masked_prediction(logits: Tensor, codes: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy summed over masked frames, and their number (so that ranks can weigh their sums).

    logits: (batch, frames, codes), codes: (batch, frames) int64, mask: (batch, frames) bool -> two scalars
    """
    count = mask.sum()
    loss = F.cross_entropy(logits[mask].float(), codes[mask], reduction="sum")
    return loss, count
