"""A frozen trunk: its output frames are computed once per clip and stored, and only what follows it is trained.

The trunk is everything before the pooling: the stem and the transformer. Stored frames replace the audio in a shard of
clips, as a NumPy array in half precision: (frames, width + 1), the last channel being the frames' log-weights in the
pooling. A view is a stretch of frames. So the audio cannot be augmented, and each frame has the context of its whole
clip, as it has when clips are embedded.
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
    """Compute the frames of clips, as they are stored.

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
    """Return frames (frames, width + 1) as they are stored."""
    buffer = io.BytesIO()
    np.save(buffer, frames, allow_pickle=False)
    return buffer.getvalue()


def project(encoder: Encoder, views: Tensor, lengths: Tensor) -> Tensor:
    """Compute the head's outputs (batch, dim) for crops, before normalisation to unit length.

    Args:
        encoder: with the pooling and the head.
        views: (batch, samples) at the encoder's rate, or stored frames (batch, frames, width + 1).
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
