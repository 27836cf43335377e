"""CAM++ as a convolutional stem: 80 log-mel bands at 100 frames/s in, 512 channels at 50 frames/s out.

The network of Wang et al. 2023 (CAM++, arXiv:2303.00332) without its pooling and embedding layers: two-dimensional
residual convolutions over time and frequency (FCM, 32 channels), then densely connected time-delay layers of 32
channels each, scaled by a mask that sees the whole clip and its own segment of 2 s.

Unlike in the original, batch normalisation is folded into the convolutions or into a scale and shift for each channel
(`Affine`), so that nothing here depends on the other clips of a batch, and padding is masked. In memory the channels
come last throughout, which makes a CPU's convolutions up to twice as fast. With the published weights
(`encoder.published`), the outputs agree to 1e-4.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from encoder.frontend import valid_mask

CHANNELS = 32  # of the two-dimensional convolutions, and the growth of each dense layer
BOTTLENECK = 128  # between the two convolutions of a dense layer
BLOCKS = ((12, 1), (24, 2), (16, 2))  # dense layers and dilation of each block
SEGMENT_FRAMES = 100  # of the context that the mask of a dense layer sees, 2 s


class Affine(nn.Module):
    """Scale and shift of each channel, then ReLU."""

    zero: Tensor
    one: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("zero", torch.zeros(channels), persistent=False)
        self.register_buffer("one", torch.ones(channels), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to `x` (batch, frames, channels); the result has the same shape."""
        # Batch norm under fixed unit statistics is the fused scale-and-shift, also under autocast.
        x = F.batch_norm(as_image(x), self.zero, self.one, self.weight, self.bias, eps=0.0).relu_()
        return as_frames(x)


def as_image(x: Tensor) -> Tensor:
    """View `x` (batch, frames, channels) as (batch, channels, 1, frames): channels-last memory to torch."""
    return x.transpose(1, 2)[:, :, None]


def as_frames(x: Tensor) -> Tensor:
    """View `x` (batch, channels, 1, frames) as (batch, frames, channels)."""
    return x.squeeze(2).transpose(1, 2)


def pointwise(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """Apply a convolution over one frame to `x` (batch, frames, channels), as the linear map that it is."""
    return F.linear(x, conv.weight[:, :, 0], conv.bias)


def temporal(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """Apply a convolution over several frames to `x` (batch, frames, channels)."""
    stride, padding, dilation = conv.stride[0], int(conv.padding[0]), conv.dilation[0]
    return as_frames(
        F.conv2d(as_image(x), conv.weight[:, :, None], conv.bias, (1, stride), (0, padding), (1, dilation))
    )


class Residual(nn.Module):
    """Two 3 x 3 convolutions and a shortcut."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(CHANNELS, CHANNELS, 3, stride=(stride, 1), padding=1)
        self.conv2 = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.shortcut = nn.Conv2d(CHANNELS, CHANNELS, 1, stride=(stride, 1)) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Apply to `x` (batch, channels, bands, frames), zero where padded; `valid`: (batch, 1, 1, frames)."""
        y = self.conv2(self.conv1(x).relu_() * valid)
        return (y + self.shortcut(x)).relu_() * valid


class DenseLayer(nn.Module):
    """A bottleneck and a dilated convolution, scaled by a context-aware mask: 32 further channels."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.before = Affine(channels)
        self.bottleneck = nn.Conv1d(channels, BOTTLENECK, 1)
        self.local = nn.Conv1d(BOTTLENECK, CHANNELS, 3, padding=dilation, dilation=dilation, bias=False)
        self.squeeze = nn.Conv1d(BOTTLENECK, BOTTLENECK // 2, 1)
        self.excite = nn.Conv1d(BOTTLENECK // 2, CHANNELS, 1)

    def forward(self, x: Tensor, valid: Tensor, means: Tensor) -> Tensor:
        """Compute the further channels.

        Args:
            x: (batch, frames, channels).
            valid: (batch, frames, 1), one where a frame is real, of the type of `x`.
            means: as `context` gives them.

        Returns:
            (batch, frames, 32).
        """
        x = pointwise(self.bottleneck, self.before(x)).relu_() * valid
        mask = pointwise(self.excite, pointwise(self.squeeze, means @ x).relu_()).sigmoid()
        return temporal(self.local, x) * mask.repeat_interleave(SEGMENT_FRAMES, 1)[:, : x.shape[1]]


def context(n_frames: Tensor, size: int) -> Tensor:
    """Return how much each segment's context takes of each frame: the clip's mean plus that of its own 2 s.

    Args:
        n_frames: (batch,).
        size: frames of the batch.

    Returns:
        (batch, segments, size), zero where padded.
    """
    frame = torch.arange(size, device=n_frames.device)
    # One segment more than needed, empty: an exported network must not be limited to clips of a single one.
    start = torch.arange(0, size + SEGMENT_FRAMES, SEGMENT_FRAMES, device=n_frames.device)
    inside = (frame >= start[:, None]) & (frame < start[:, None] + SEGMENT_FRAMES)
    count = (n_frames[:, None] - start).clamp(1, SEGMENT_FRAMES)
    weights = inside / count[..., None] + 1 / n_frames.clamp(min=1)[:, None, None]
    return weights * valid_mask(n_frames, size)[:, None]


class CamPlusStem(nn.Module):
    """The convolutional trunk of CAM++, 6.7 M parameters."""

    width, stride = 512, 2

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(1, CHANNELS, 3, padding=1)
        self.residuals = nn.ModuleList([Residual(2), Residual(1), Residual(2), Residual(1)])
        self.conv_out = nn.Conv2d(CHANNELS, CHANNELS, 3, stride=(2, 1), padding=1)
        self.halve = nn.Conv1d(10 * CHANNELS, 128, 5, stride=2, padding=2)
        self.dense, self.before, self.transit = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        channels = 128
        for layers, dilation in BLOCKS:
            self.dense.append(nn.ModuleList(DenseLayer(channels + i * CHANNELS, dilation) for i in range(layers)))
            channels += layers * CHANNELS
            self.before.append(Affine(channels))
            self.transit.append(nn.Conv1d(channels, channels // 2, 1, bias=False))
            channels //= 2
        self.out = Affine(channels)

    def forward(self, features: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the frames that the transformer sees.

        Args:
            features: (batch, frames, 80), zero where padded.
            n_frames: (batch,).

        Returns:
            (batch, ceil(frames / 2), 512), zero where padded, and the number of frames of each clip (batch,).
        """
        x = features.transpose(1, 2)[:, None]
        valid = valid_mask(n_frames, x.shape[-1])[:, None, None].to(x.dtype)
        x = self.conv_in(x).contiguous(memory_format=torch.channels_last).relu_()
        valid = valid.to(x.dtype)  # half precision under autocast
        x = x * valid
        for residual in self.residuals:
            x = residual(x, valid)
        x = self.conv_out(x).relu_() * valid
        x = x.flatten(1, 2).transpose(1, 2).contiguous()
        x = temporal(self.halve, x).relu_()
        n_frames = torch.div(n_frames + 1, 2, rounding_mode="floor")
        valid = valid_mask(n_frames, x.shape[1])[..., None].to(x.dtype)
        means = context(n_frames, x.shape[1]).to(x.dtype)
        for layers, before, transit in zip(self.dense, self.before, self.transit, strict=True):
            assert isinstance(layers, nn.ModuleList) and isinstance(transit, nn.Conv1d)
            for layer in layers:
                x = torch.cat([x, layer(x, valid, means)], dim=-1)
            x = pointwise(transit, before(x))
        return self.out(x) * valid, n_frames
