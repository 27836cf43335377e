"""A trunk that stays as it is: its frames of a clip are computed once and kept, and training begins behind them.

The trunk is all before the pooling, stem and transformer. Kept frames take the place of the audio in a shard of clips,
as a NumPy array in half precision: (frames, width + 1), the last channel the frames' log-weights in the pooling. A view
is a stretch of them. So nothing can be augmented in front of the trunk, and a stretch knows of its whole clip, as it
does where clips are embedded.
"""

from __future__ import annotations

import io

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from encoder.frontend import valid_mask
from encoder.model import Encoder


@torch.no_grad()
def frames_of(encoder: Encoder, waves: Tensor, sample_rate_hz: int, lengths: Tensor) -> list[bytes]:
    """Compute what is kept of clips.

    Args:
        encoder: in evaluation mode.
        waves: (batch, samples) float32, zero-padded.
        sample_rate_hz: of `waves`.
        lengths: (batch,) samples of each clip.
    """
    features, n_frames = encoder.features(waves, sample_rate_hz, lengths)
    prior = encoder.prior(features)
    frames, n_frames = encoder.frames(features, n_frames)
    packed = torch.cat([frames, prior[..., None]], dim=-1).half().cpu().numpy()
    return [to_bytes(clip[:n]) for clip, n in zip(packed, n_frames.tolist(), strict=True)]


def to_bytes(frames: np.ndarray) -> bytes:
    """Return frames (frames, width + 1) as they are kept."""
    buffer = io.BytesIO()
    np.save(buffer, frames, allow_pickle=False)
    return buffer.getvalue()


def project(encoder: Encoder, views: Tensor, lengths: Tensor) -> Tensor:
    """Compute the head's outputs (batch, dim) for crops, before they are brought to unit norm.

    Args:
        encoder: whose.
        views: (batch, samples) at the encoder's rate, or (batch, frames, width + 1) as they were kept.
        lengths: (batch,) samples or frames of each.
    """
    if views.ndim == 2:
        features, n_frames = encoder.features(views, encoder.sample_rate_hz, lengths)
        return encoder.project(*encoder.frames(features, n_frames), features)
    pooled: Tensor = encoder.pool(views[..., :-1], valid_mask(lengths, views.shape[1]), views[..., -1])
    projected: Tensor = encoder.head(pooled)
    return projected


def embed(encoder: Encoder, views: Tensor, lengths: Tensor) -> Tensor:
    """Compute unit vectors (batch, dim) float32 of crops; arguments as `project`."""
    return F.normalize(project(encoder, views, lengths).float(), dim=-1)
