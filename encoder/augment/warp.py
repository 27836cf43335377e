"""Pitch, formants and duration: shifts that move one of the three and leave the others.

Duration: overlap-add of similar waveforms (Verhelst and Roelands 1993, "An overlap-add technique based on waveform
similarity (WSOLA)"), which for one voice keeps the waveform's shape. Formants: the spectral envelope is moved in the
short-time spectrum; it is found by smoothing in the cepstrum until it lies on the harmonics (Röbel and Rodet 2005,
"Efficient spectral envelope estimation and its application to pitch shifting and envelope preservation"). Pitch: a
stretch, played faster by the same factor, after the envelope was moved the other way.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from encoder.augment.filters import fast_size

WINDOW_S = 0.046  # of the short-time spectrum: fine enough to tell a deep voice's harmonics
ENVELOPE_S = 0.0034  # what is slower than this over frequency is envelope,
ENVELOPE_PERIODS = 0.75  # and slower than this share of the period, so that harmonics are none
POOL, ROUNDS = 2, 4
LOW_HZ, TOP_HZ = 450, 11000
PITCH_HZ = (80, 700)
HOP_S = 0.015  # of the overlap-add; a segment is two, and holds two periods of 70 Hz
SEARCH_S = 0.007  # how far to either side a similar waveform is looked for: a period of 70 Hz in all
DECIMATION = 4


def warp(waves: Tensor, rate: int, pitch: Tensor, formants: Tensor, duration: Tensor) -> Tensor:
    """Shift pitch and formants and stretch time, each by its own factor per clip.

    waves: (batch, samples); pitch, formants, duration: (batch,) factors, 1 for no change
    -> (batch, ceil(samples * longest duration)); clips that got shorter end in silence.
    """
    samples = int(torch.ceil(waves.shape[1] * duration.max()))
    ratio = formants / pitch
    if bool((ratio != 1).any()):
        waves = formant_shift(waves, rate, ratio)
    stretch = duration * pitch
    if bool((stretch != 1).any()):
        waves = time_stretch(waves, rate, stretch)
    if bool((pitch != 1).any()):
        waves = play_at(waves, pitch)
    # Playing rounds the number of samples a little.
    return F.pad(waves, (0, max(0, samples - waves.shape[1])))[:, :samples]


def pitch_shift(waves: Tensor, rate: int, semitones: Tensor) -> Tensor:
    """Move the pitch, keep formants and duration. waves: (batch, samples), semitones: (batch,)."""
    one = torch.ones_like(semitones)
    return warp(waves, rate, torch.pow(2.0, semitones / 12), one, one)


def formant_shift(waves: Tensor, rate: int, ratio: Tensor) -> Tensor:
    """Move the formants as a shorter (ratio > 1) or longer vocal tract does; keep pitch and duration."""
    size = 1 << round(WINDOW_S * rate).bit_length() - 1
    window = torch.hann_window(size, device=waves.device)
    spectrum = torch.stft(waves, size, size // 2, window=window, return_complex=True)
    return torch.istft(move_envelope(spectrum, rate, ratio), size, size // 2, window=window, length=waves.shape[1])


def time_stretch(waves: Tensor, rate: int, duration: Tensor) -> Tensor:
    """Make each clip last `duration` (batch,) times as long; keep pitch and formants.

    waves: (batch, samples) -> (batch, samples * longest duration), silent after a clip's end
    """
    hop, search = DECIMATION * round(HOP_S * rate / DECIMATION), DECIMATION * round(SEARCH_S * rate / DECIMATION)
    batch, samples = waves.shape
    out = int(torch.ceil(samples * duration.max()))
    count = -(-out // hop) + 1
    margin = 2 * hop + search
    padded = F.pad(waves, (margin, margin + 2 * hop))
    coarse = F.avg_pool1d(padded[:, None], DECIMATION)[:, 0]
    window = torch.hann_window(2 * hop, device=waves.device)
    result = torch.zeros(batch, (count + 1) * hop, device=waves.device)
    at = torch.full((batch,), margin - hop, device=waves.device)
    for i in range(count):
        if i:
            wanted = margin - hop + (i * hop / duration).long()
            wanted = wanted.clamp(max=padded.shape[1] - 2 * hop - search - DECIMATION)
            at = most_similar(padded, coarse, at + hop, wanted, hop, search)
        result[:, i * hop : (i + 2) * hop] += segments(padded, at, 2 * hop) * window
    result = result[:, hop : hop + out]
    return result * (torch.arange(result.shape[1], device=waves.device) < (samples * duration)[:, None])


def most_similar(waves: Tensor, coarse: Tensor, natural: Tensor, wanted: Tensor, hop: int, search: int) -> Tensor:
    """Where near `wanted` (batch,) the wave is most like what naturally follows at `natural` (batch,).

    coarse: waves averaged over DECIMATION samples, searched first; then each sample around the best.
    """
    length, reach = 2 * hop // DECIMATION, search // DECIMATION
    target = segments(coarse, natural // DECIMATION, length)
    field = segments(coarse, wanted // DECIMATION - reach, length + 2 * reach)
    best = similarity(field, target).argmax(1) - reach
    centre = wanted + best * DECIMATION
    target = segments(waves, natural, 2 * hop)
    field = segments(waves, centre - DECIMATION, 2 * hop + 2 * DECIMATION)
    return centre + similarity(field, target).argmax(1) - DECIMATION


def similarity(field: Tensor, target: Tensor) -> Tensor:
    """Normalised correlation at each shift. field: (batch, n + shifts - 1), target: (batch, n) -> (batch, shifts)."""
    views = field.unfold(1, target.shape[1], 1)
    energy = F.pad(field.square().cumsum(1), (1, 0))
    energy = energy[:, target.shape[1] :] - energy[:, : views.shape[1]]
    return (views @ target[..., None])[..., 0] / energy.clamp(min=1e-9).sqrt()


def segments(waves: Tensor, start: Tensor, length: int) -> Tensor:
    """waves: (batch, samples), start: (batch,) -> (batch, length)."""
    index = (start[:, None] + torch.arange(length, device=waves.device)).clamp(0, waves.shape[1] - 1)
    return waves.gather(1, index)


def envelope_db(spectrum: Tensor, rate: int) -> Tensor:
    """Log envelope through the harmonics' peaks, dB, on every POOL-th bin up to TOP_HZ.

    Smoothed in the cepstrum, then again after whatever lay below the smooth line was raised to it, and so on: the
    line comes to lie on the peaks, wherever the pitch puts them.
    spectrum: (batch, bins, frames) complex -> (batch, frames, points); point i is of the bins POOL * i and on.
    """
    bins = spectrum.shape[1]
    spacing_hz = POOL * rate / (2 * (bins - 1))
    points = min(bins // POOL, round(TOP_HZ / spacing_hz))
    power = torch.view_as_real(spectrum[:, : points * POOL]).square().sum(-1)
    peaks = F.max_pool1d(power.transpose(1, 2), POOL)
    log = 10 * peaks.clamp(min=1e-14).log10()
    # Below the first harmonic there is nothing to go by: what lies lowest goes on down to zero.
    low = round(LOW_HZ / spacing_hz)
    held = log[..., :low].flip(-1).cummax(-1).values.flip(-1)
    log = torch.cat([held, log[..., low:]], dim=-1)
    quefrency_s = (ENVELOPE_PERIODS / usual_pitch_hz(spectrum, rate)).clamp(max=ENVELOPE_S)
    analysis, synthesis = smoother(points, spacing_hz, quefrency_s)
    line = log @ analysis @ synthesis
    for _ in range(ROUNDS - 1):
        line = torch.maximum(log, line) @ analysis @ synthesis
    return line


def smoother(points: int, spacing_hz: float, quefrency_s: Tensor) -> tuple[Tensor, Tensor]:
    """The map that keeps a log spectrum's slow cosines, up to a quefrency (batch,) per clip, in two parts.

    -> (batch, points, cosines), (cosines, points)
    """
    device = quefrency_s.device
    place = (torch.arange(points, device=device) + 0.5) / points
    order = torch.arange(round(2 * ENVELOPE_S * points * spacing_hz), device=device)
    cosines = torch.cos(torch.pi * order[:, None] * place)
    # A soft edge: a hard cut would ring through the envelope.
    share = order / (2 * quefrency_s[:, None] * points * spacing_hz)
    edge = torch.cos(torch.pi / 2 * ((share - 0.5) * 2).clamp(0, 1)).square()
    weight = edge * torch.where(order == 0, 1.0, 2.0) / points
    return cosines.T * weight[:, None], cosines


def usual_pitch_hz(spectrum: Tensor, rate: int) -> Tensor:
    """The pitch that a clip is mostly at, from its mean spectrum's autocorrelation. -> (batch,)"""
    size = 2 * (spectrum.shape[1] - 1)
    correlation = torch.fft.irfft(torch.view_as_real(spectrum).square().sum(-1).mean(2), n=size)
    window = torch.hann_window(size, device=spectrum.device)
    fading = torch.fft.irfft(torch.fft.rfft(window, n=2 * size).abs().square())
    shortest, longest = int(rate / PITCH_HZ[1]), min(int(rate / PITCH_HZ[0]), size // 2 - 1)
    around = (correlation / fading[:size])[:, shortest - 1 : longest + 2]
    middle = around[:, 1:-1]
    high = middle >= 0.9 * middle.amax(1, keepdim=True)
    peaks = high & (middle >= around[:, :-2]) & (middle >= around[:, 2:])
    return rate / (peaks.int().argmax(1) + shortest)


def move_envelope(spectrum: Tensor, rate: int, ratio: Tensor) -> Tensor:
    """Put at each frequency f the envelope that was at f / ratio. ratio: (batch,) -> like spectrum."""
    bins = spectrum.shape[1]
    line = envelope_db(spectrum, rate)
    points = line.shape[2]
    source = ((torch.arange(points, device=ratio.device) + 0.5) / ratio[:, None] - 0.5).clamp(0, points - 1 - 1e-3)
    below = source.long()[:, None].expand_as(line)
    moved = torch.lerp(line.gather(2, below), line.gather(2, below + 1), source.frac()[:, None])
    gain = torch.pow(10.0, (moved - line).clamp(-40, 40) / 20)
    # Up to the top by interpolation, beyond it as at the top.
    fine = F.interpolate(gain, scale_factor=POOL, mode="linear")
    fine = F.pad(fine, (0, bins - points * POOL), mode="replicate")
    return spectrum * fine.transpose(1, 2)


def play_at(waves: Tensor, speed: Tensor) -> Tensor:
    """Play each clip `speed` (batch,) times as fast: its spectrum cut off or extended. -> (batch, fewer or more).

    The number of samples out is rounded to one that a transform is quick at; that changes the speed by less than
    0.1 %, a fiftieth of a semitone.
    """
    size = fast_size(waves.shape[1] + 64)
    spectra = torch.fft.rfft(waves, n=size)
    played = []
    for spectrum, factor in zip(spectra, speed, strict=True):
        samples = 128 * round(size / float(factor) / 128)
        bins = samples // 2 + 1
        fitted = F.pad(torch.view_as_real(spectrum)[:bins], (0, 0, 0, max(0, bins - len(spectrum))))
        played.append(torch.fft.irfft(torch.view_as_complex(fitted), n=samples) * (samples / size))
    longest = -(-waves.shape[1] * max(map(len, played)) // size)
    return torch.stack([F.pad(wave, (0, max(0, longest - len(wave))))[:longest] for wave in played])
