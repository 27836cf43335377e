"""Everything that is a multiplication in the frequency domain: band limit, equaliser, reverb, and coloured noise.

The responses of a batch are multiplied together and applied by one transform there and back.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from encoder.training.augment.level import factor

ORDER = 16  # of the band limit: 96 dB an octave, as steep as a resampler's or a codec's edge
EQUALISER_POINTS = 8
EQUALISER_LINE = 4096  # values of its response that are computed, those between on straight lines


def frequencies(size: int, rate: int, device: torch.device) -> Tensor:
    """Of the bins of a real transform of `size` samples, Hz. -> (size / 2 + 1,)"""
    return torch.arange(size // 2 + 1, device=device) * (rate / size)


def band_limit(hz: Tensor, edges_hz: Tensor) -> Tensor:
    """Low-pass responses, -3 dB at the edge. hz: (bins,), edges_hz: (batch,) -> (batch, bins) real."""
    return (1 + (hz / edges_hz[:, None]).pow(2 * ORDER)).rsqrt()


def equaliser(hz: Tensor, gains_db: Tensor) -> Tensor:
    """Smooth responses through gains at points evenly spaced in pitch from 60 Hz to the top.

    hz: (bins,), gains_db: (batch, points) -> (batch, bins) real
    """
    points = gains_db.shape[1]
    # So smooth a line needs no more than a value every few Hz.
    some = torch.linspace(0, float(hz[-1]), EQUALISER_LINE, device=hz.device)
    octave = (some.clamp(min=60) / 60).log2()
    place = (octave / octave[-1] * (points - 1)).clamp(max=points - 1 - 1e-4)
    below = place.long()
    share = (1 - torch.cos(torch.pi * (place - below))) / 2
    db = torch.lerp(gains_db[:, below], gains_db[:, below + 1], share)
    line = factor(db)[:, None]
    return F.interpolate(line, len(hz), mode="linear", align_corners=True)[:, 0]


def impulse_responses(decay_s: Tensor, direct_db: Tensor, rate: int, noise: Tensor) -> Tensor:
    """Rooms: the direct sound, then noise falling by 60 dB within `decay_s`, unit energy in all.

    decay_s, direct_db (direct over reverberant energy): (batch,); noise: (batch, samples) -> like noise
    """
    time = torch.arange(noise.shape[1], device=noise.device) / rate
    tail = noise * torch.exp(-6.9078 * time / decay_s[:, None])
    tail[:, 0] = 0
    tail = tail / tail.square().sum(1, keepdim=True).clamp(min=1e-12).sqrt()
    direct = factor(direct_db)
    response = tail.clone()
    response[:, 0] = direct
    return response / (1 + direct.square()).sqrt()[:, None]


def noise(spectrum: Tensor, slope_db: Tensor, ratio_db: Tensor, generator: torch.Generator) -> Tensor:
    """Spectra of noise that fall by `slope_db` an octave (0 white, 3 pink, 6 brown), `ratio_db` below the clips'.

    spectrum: (batch, bins) complex, of the clips; slope_db, ratio_db: (batch,) -> like spectrum
    """
    white = torch.randn((*spectrum.shape, 2), generator=generator, device=spectrum.device)
    bins = torch.arange(1, spectrum.shape[1] + 1, device=spectrum.device)
    shape = bins.pow(-slope_db[:, None] / 6.0206)
    # The energy of the shape is that of the noise, near enough: it has very many bins.
    energy = torch.view_as_real(spectrum).square().sum((1, 2)) / (2 * shape.square().sum(1))
    scale = energy.sqrt() * factor(-ratio_db)
    return torch.view_as_complex(white) * (shape * scale[:, None])


def fast_size(samples: int) -> int:
    """The next size that a transform is quick at: a power of two, or three quarters of one."""
    power = 1 << (samples - 1).bit_length()
    return 3 * power // 4 if samples <= 3 * power // 4 else power
