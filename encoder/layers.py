"""The model's parts: convolutional stem, transformer block with rotary positions, attentive statistics pooling.

Each part knows which frames are real and lets no padding reach them, so that a clip gives the same vector alone and in
any batch. Nothing here normalises over the batch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from encoder.frontend import valid_mask

PLAIN_FRAMES = 512  # attention over more frames is faster by the fused kernel, on a CPU too


def being_exported() -> bool:
    """Return whether this call is being traced into a graph, which must not depend on its length or padding."""
    return torch.compiler.is_exporting() or torch.jit.is_tracing()


class FrameNorm(nn.Module):
    """Layer norm over the bands and channels of each frame."""

    def __init__(self, channels: int, bands: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm([bands, channels])

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` (batch, channels, frames, bands); the result has the same shape."""
        # In memory the channels come last, so that neither permutation copies.
        out: Tensor = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return out


class ConvStem(nn.Module):
    """Two strided convolutions, each followed by a residual one: a quarter as many frames, `width` channels."""

    stride = 4

    def __init__(self, n_mels: int, channels: int, width: int) -> None:
        super().__init__()
        bands = [(n_mels + 1) // 2, ((n_mels + 1) // 2 + 1) // 2]
        sizes = [channels, 2 * channels]
        self.down = nn.ModuleList(
            [nn.Conv2d(inside, out, 3, stride=2, padding=1) for inside, out in zip([1, channels], sizes, strict=True)]
        )
        self.down_norm = nn.ModuleList([FrameNorm(c, b) for c, b in zip(sizes, bands, strict=True)])
        self.keep = nn.ModuleList([nn.Conv2d(c, c, 3, padding=1, groups=c // 4 or 1) for c in sizes])
        self.keep_norm = nn.ModuleList([FrameNorm(c, b) for c, b in zip(sizes, bands, strict=True)])
        self.project = nn.Linear(sizes[1] * bands[1], width)

    def forward(self, features: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the frames that the transformer sees.

        Args:
            features: (batch, frames, mels), zero where padded.
            n_frames: (batch,).

        Returns:
            (batch, ceil(frames / 4), width), zero where padded, and the number of frames of each clip (batch,).
        """
        x = features[:, None]
        for down, down_norm, keep, keep_norm in zip(self.down, self.down_norm, self.keep, self.keep_norm, strict=True):
            n_frames = torch.div(n_frames + 1, 2, rounding_mode="floor")
            x = down(x).contiguous(memory_format=torch.channels_last)
            # Zeros are what a convolution sees beyond the end of a clip that comes alone.
            valid = valid_mask(n_frames, x.shape[2])[:, None, :, None]
            x = F.gelu(down_norm(x)) * valid
            x = x + F.gelu(keep_norm(keep(x))) * valid
        x = self.project(x.permute(0, 2, 3, 1).flatten(2))
        return x * valid_mask(n_frames, x.shape[1])[..., None], n_frames


def rotary_angles(frames: int, half: int, like: Tensor, base: float = 10000.0) -> tuple[Tensor, Tensor]:
    """Compute the angles of rotary positions (Su et al. 2021, "RoFormer", eq. 34).

    Args:
        frames: number of positions.
        half: pairs of channels in an attention head.
        like: a tensor on the device that is wanted.
        base: of the geometric series of frequencies.

    Returns:
        Cosines and sines, (frames, half) each.
    """
    frequency = base ** (-torch.arange(half, device=like.device, dtype=torch.float32) / half)
    angle = torch.arange(frames, device=like.device, dtype=torch.float32)[:, None] * frequency
    return angle.cos(), angle.sin()


def rotate(x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate each pair of channels of `x` (batch, heads, frames, 2 * half) by its frame's angle."""
    cos, sin = (part.to(x.dtype) for part in angles)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


class Block(nn.Module):
    """Pre-norm transformer block: self-attention over valid frames with rotary positions, then an MLP."""

    def __init__(self, width: int, heads: int, mlp_ratio: float, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp_in = nn.Linear(width, int(width * mlp_ratio))
        self.mlp_out = nn.Linear(int(width * mlp_ratio), width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor | None, angles: tuple[Tensor, Tensor]) -> Tensor:
        """Apply the block.

        Args:
            x: (batch, frames, width).
            valid: (batch, frames) bool, which frames are real; None: all.
            angles: as `rotary_angles` gives them.

        Returns:
            (batch, frames, width).
        """
        x = x + self.dropout(self.attend(self.attention_norm(x), valid, angles))
        x = x + self.dropout(self.mlp_out(F.gelu(self.mlp_in(self.mlp_norm(x)))))
        return x

    def attend(self, x: Tensor, valid: Tensor | None, angles: tuple[Tensor, Tensor]) -> Tensor:
        """Let the frames of `x` (batch, frames, width) attend to each other; arguments as `forward`."""
        batch, frames, width = x.shape
        q, k, v = self.qkv(x).view(batch, frames, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, angles), rotate(k, angles)
        mask = None if valid is None else valid[:, None, None, :]
        y = attention(q, k, v, mask)
        out: Tensor = self.attention_out(y.transpose(1, 2).reshape(batch, frames, width))
        return out


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Compute scaled dot-product attention.

    On a CPU short clips are handled by plain matrix products: in half precision torch's fused kernel takes twice as
    long there, and its gradient 14 times as long at 50 frames, 3 times at 500.

    Args:
        q: (batch, heads, frames, channels), queries.
        k: likewise, keys.
        v: likewise, values.
        mask: (batch, 1, 1, frames) bool, which keys count; None: all.

    Returns:
        (batch, heads, frames, channels).
    """
    if being_exported() or q.device.type != "cpu" or q.shape[2] > PLAIN_FRAMES:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    similarity = (q * q.shape[3] ** -0.5) @ k.transpose(2, 3)
    if mask is not None:
        similarity = similarity.masked_fill(~mask, -torch.inf)
    return similarity.softmax(-1).to(v.dtype) @ v


class AttentiveStatistics(nn.Module):
    """Attention-weighted mean and standard deviation of each channel over time.

    Okabe et al. 2018, "Attentive Statistics Pooling for Deep Speaker Embedding"; the attention is channel-wise and sees
    the whole clip's mean and standard deviation, as in Desplanques et al. 2020, "ECAPA-TDNN". With its last layer at
    zero, as it is initially, this is plain statistics pooling under the prior.
    """

    def __init__(self, width: int, hidden: int = 128) -> None:
        super().__init__()
        self.hidden = nn.Linear(3 * width, hidden)
        self.score = nn.Linear(hidden, width)

    def forward(self, x: Tensor, valid: Tensor, prior: Tensor) -> Tensor:
        """Pool the frames of each clip.

        Args:
            x: (batch, frames, width).
            valid: (batch, frames) bool, which frames are real.
            prior: (batch, frames), log-weights of the frames before attention.

        Returns:
            (batch, 2 * width): means, then standard deviations.
        """
        prior = prior.float().masked_fill(~valid, -torch.inf)[..., None]
        context = torch.cat(weighted_statistics(x, prior.softmax(1)), dim=-1)[:, None].expand(-1, x.shape[1], -1)
        score = self.score(torch.tanh(self.hidden(torch.cat([x, context], dim=-1))))
        return torch.cat(weighted_statistics(x.float(), (score + prior).softmax(1)), dim=-1)


def weighted_statistics(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Compute mean and standard deviation over frames.

    Args:
        x: (batch, frames, width).
        weight: (batch, frames, width or 1), sums to one over the frames.

    Returns:
        Mean and standard deviation, (batch, width) each.
    """
    mean = (x * weight).sum(1)
    variance = ((x - mean[:, None]).square() * weight).sum(1)
    return mean, variance.clamp(min=1e-7).sqrt()
