"""What is a multiplication in the frequency domain: band limit, equaliser, reverb; and coloured noise.

The responses of a batch are multiplied together, so that one transform there and back applies them all.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from encoder.training.augment.level import db_to_gain

ORDER = 16  # of the band limit: 96 dB an octave, as steep as a resampler's or a codec's edge
EQUALISER_POINTS = 8
EQUALISER_LINE = 4096  # points of its response that are computed; what lies between is interpolated


def frequencies(size: int, rate: int, device: torch.device) -> Tensor:
    """Return the frequencies (size / 2 + 1,) in Hz of the bins of a real transform of `size` samples."""
    return torch.arange(size // 2 + 1, device=device) * (rate / size)


def band_limit(hz: Tensor, edges_hz: Tensor) -> Tensor:
    """Return low-pass responses (batch, bins), real, -3 dB at the edges (batch,); `hz`: (bins,)."""
    return (1 + (hz / edges_hz[:, None]).pow(2 * ORDER)).rsqrt()


def equaliser(hz: Tensor, gains_db: Tensor) -> Tensor:
    """Return smooth responses through gains at points evenly spaced in pitch from 60 Hz to the top.

    Args:
        hz: (bins,), frequencies.
        gains_db: (batch, points).

    Returns:
        (batch, bins), real.
    """
    points = gains_db.shape[1]
    # A line this smooth needs no more than a value every few Hz.
    some = torch.linspace(0, float(hz[-1]), EQUALISER_LINE, device=hz.device)
    octave = (some.clamp(min=60) / 60).log2()
    place = (octave / octave[-1] * (points - 1)).clamp(max=points - 1 - 1e-4)
    below = place.long()
    share = (1 - torch.cos(torch.pi * (place - below))) / 2
    db = torch.lerp(gains_db[:, below], gains_db[:, below + 1], share)
    line = db_to_gain(db)[:, None]
    return F.interpolate(line, len(hz), mode="linear", align_corners=True)[:, 0]


def impulse_responses(decay_s: Tensor, direct_db: Tensor, rate: int, noise: Tensor) -> Tensor:
    """Return impulse responses of rooms: the direct sound, then noise that falls by 60 dB; of unit energy in all.

    Args:
        decay_s: (batch,), seconds in which the noise falls by 60 dB.
        direct_db: (batch,), direct over reverberant energy.
        rate: sample rate in Hz.
        noise: (batch, samples), white.

    Returns:
        (batch, samples).
    """
    time = torch.arange(noise.shape[1], device=noise.device) / rate
    tail = noise * torch.exp(-6.9078 * time / decay_s[:, None])
    tail[:, 0] = 0
    tail = tail / tail.square().sum(1, keepdim=True).clamp(min=1e-12).sqrt()
    direct = db_to_gain(direct_db)
    response = tail.clone()
    response[:, 0] = direct
    return response / (1 + direct.square()).sqrt()[:, None]


def noise(spectrum: Tensor, slope_db: Tensor, ratio_db: Tensor, generator: torch.Generator) -> Tensor:
    """Return the spectra of coloured noise.

    Args:
        spectrum: (batch, bins) complex, of the clips.
        slope_db: (batch,), by which the noise falls per octave: 0 is white, 3 pink, 6 brown.
        ratio_db: (batch,), of the clip's energy over the noise's.
        generator: of the random numbers.

    Returns:
        (batch, bins) complex.
    """
    white = torch.randn((*spectrum.shape, 2), generator=generator, device=spectrum.device)
    bins = torch.arange(1, spectrum.shape[1] + 1, device=spectrum.device)
    shape = bins.pow(-slope_db[:, None] / 6.0206)
    # With this many bins, the energy of the shape is near enough that of the noise.
    energy = torch.view_as_real(spectrum).square().sum((1, 2)) / (2 * shape.square().sum(1))
    scale = energy.sqrt() * db_to_gain(-ratio_db)
    return torch.view_as_complex(white) * (shape * scale[:, None])


def fast_size(samples: int) -> int:
    """Return the next size at which a transform is fast: a power of two, or three quarters of one."""
    power = 1 << (samples - 1).bit_length()
    return 3 * power // 4 if samples <= 3 * power // 4 else power
