"""Pitch, formants and duration, each changed without the other two. Waves are (batch, samples).

Duration: overlap-add of similar waveforms (Verhelst and Roelands 1993, "An overlap-add technique based on waveform
similarity (WSOLA)"), which keeps the shape of the waveform of a single voice. Formants: the spectral envelope, a line
through the harmonics of each short frame, is moved along the frequency axis. Nothing is known of the envelope between
harmonics: for pitches above 250 Hz the line is 1.5 to 3.5 dB off the formants of a steady voice, and so is a cubic.
Pitch: a stretch that is played faster by the same factor, after the envelope was moved the other way.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from encoder.frontend import squared
from encoder.training.augment.filters import fast_size
from encoder.training.augment.level import db_to_gain

WINDOW_S = 0.046  # of the short-time spectrum, fine enough to resolve the harmonics of a deep voice
TOP_HZ = 11000
PITCH_HZ = (80, 700)
FIRST_PEAK = 0.9  # of the highest: the first such peak is the period, the highest may be a multiple of it
HOP_S = 0.015  # of the overlap-add; a segment is two, and holds two periods of 70 Hz
SEARCH_S = 0.007  # how far a similar waveform is searched to either side: in all a period of 70 Hz
DECIMATION = 8


def warp(waves: Tensor, rate: int, pitch: Tensor, formants: Tensor, duration: Tensor) -> Tensor:
    """Shift pitch and formants and stretch time, by a factor of each clip's own.

    Args:
        waves: (batch, samples).
        rate: sample rate in Hz.
        pitch: (batch,) factors; 1 changes nothing.
        formants: (batch,), likewise.
        duration: (batch,), likewise.

    Returns:
        (batch, ceil(samples * longest duration)); clips that became shorter end in silence.
    """
    samples = longest(waves, duration)
    ratio = formants / pitch
    if bool((ratio != 1).any()):
        waves = formant_shift(waves, rate, ratio)
    stretch = duration * pitch
    if bool((stretch != 1).any()):
        waves = time_stretch(waves, rate, stretch)
    if bool((pitch != 1).any()):
        waves = play_at(waves, pitch)
    # Playing rounds the number of samples a little.
    return F.pad(waves, (0, samples - waves.shape[1]))


def longest(waves: Tensor, duration: Tensor) -> int:
    """Return the samples of the longest clip when each lasts `duration` (batch,) times as long."""
    return int(torch.ceil(waves.shape[1] * duration.max()))


def formant_shift(waves: Tensor, rate: int, ratio: Tensor) -> Tensor:
    """Move the formants by `ratio` (batch,): above 1 as a shorter vocal tract does; pitch and duration stay."""
    size = 1 << round(WINDOW_S * rate).bit_length() - 1
    window = torch.hann_window(size, device=waves.device)
    spectrum = torch.stft(waves, size, size // 2, window=window, return_complex=True)
    return overlap_add(move_envelope(spectrum, rate, ratio), window, waves.shape[1])


def overlap_add(spectrum: Tensor, window: Tensor, samples: int) -> Tensor:
    """Invert a centred short-time transform whose frames overlap by half.

    Args:
        spectrum: (batch, bins, frames) complex.
        window: (n,), of the transform.
        samples: of the waves.

    Returns:
        (batch, samples).
    """
    half = len(window) // 2
    frames = torch.fft.irfft(spectrum.transpose(1, 2), n=2 * half) * window
    overlapped = F.pad(frames[..., :half], (0, 0, 0, 1)) + F.pad(frames[..., half:], (0, 0, 1, 0))
    weight = window[:half].square() + window[half:].square()
    return (overlapped / weight).flatten(1)[:, half : half + samples]


def time_stretch(waves: Tensor, rate: int, duration: Tensor) -> Tensor:
    """Make each clip last `duration` (batch,) times as long; pitch and formants stay.

    The segments are placed from the middle to both ends at once, which takes half as many rounds.

    Returns:
        (batch, ceil(samples * longest duration)), silent after a clip's end.
    """
    middle = waves.shape[1] // 2
    halves = F.pad(waves[:, :middle].flip(1), (0, waves.shape[1] - 2 * middle)), waves[:, middle:]
    starts, ends = lay_out(torch.cat(halves), rate, duration.repeat(2)).chunk(2)
    lengths = (middle * duration).long().tolist(), ((waves.shape[1] - middle) * duration).long().tolist()
    parts = zip(starts, ends, *lengths, strict=True)
    clips = [torch.cat([start[:before].flip(0), end[:after]]) for start, end, before, after in parts]
    samples = longest(waves, duration)
    return torch.stack([F.pad(clip, (0, samples - len(clip))) for clip in clips])


def lay_out(waves: Tensor, rate: int, duration: Tensor) -> Tensor:
    """Overlap segments: each is taken near its due time, where it is most similar to what followed the one before it.

    Args:
        waves: (batch, samples).
        rate: sample rate in Hz.
        duration: (batch,) factors.

    Returns:
        (batch, samples * longest duration, or a little more).
    """
    hop, reach = DECIMATION * round(HOP_S * rate / DECIMATION), round(SEARCH_S * rate / DECIMATION)
    count = -(-longest(waves, duration) // hop) + 1
    margin = 2 * hop + reach * DECIMATION
    padded = F.pad(waves, (margin, margin + 2 * hop))
    wanted = margin - hop + (torch.arange(count, device=waves.device) * hop / duration[:, None]).long()
    first = wanted.clamp(max=padded.shape[1] - margin - DECIMATION) // DECIMATION - reach
    clip = torch.arange(len(waves), device=waves.device)[:, None]
    # The search runs on a coarse copy: all stretches of two hops, those near each due time, and one over their levels.
    coarse, size = F.avg_pool1d(padded, DECIMATION), 2 * hop // DECIMATION
    heard = coarse.unfold(1, size, 1)
    near = coarse.unfold(1, size + 2 * reach, 1)[clip, first].unfold(2, size, 1)
    power = F.avg_pool1d(coarse.square(), size, 1).clamp(min=1e-12)
    scale = power.rsqrt().unfold(1, 2 * reach + 1, 1)[clip, first]
    at, places = torch.full_like(clip, margin - hop), []
    for i in range(count):
        if i:
            natural = (at + hop).clamp(max=padded.shape[1] - 2 * hop - DECIMATION)
            follows = heard[clip, natural // DECIMATION]
            similarity = torch.bmm(near[:, i], follows.transpose(1, 2))[..., 0] * scale[:, i]
            best = parabolic_peak(similarity, similarity.argmax(1, keepdim=True).clamp(1, 2 * reach - 1))
            at = natural % DECIMATION + ((first[:, i, None] + best) * DECIMATION).round().long()
        places.append(at)
    segments = padded.unfold(1, 2 * hop, 1)[clip, torch.cat(places, 1)]
    segments = segments * torch.hann_window(2 * hop, device=waves.device)
    return (segments[:, :-1, hop:] + segments[:, 1:, :hop]).flatten(1)


def envelope_db(spectrum: Tensor, rate: int) -> Tensor:
    """Compute the log envelope of each frame: straight from harmonic to harmonic, and flat below the first.

    Args:
        spectrum: (batch, bins, frames) complex.
        rate: sample rate in Hz.

    Returns:
        (batch, frames, points) in dB, for the bins up to TOP_HZ.
    """
    spacing_hz = rate / (2 * (spectrum.shape[1] - 1))
    points = min(spectrum.shape[1], round(TOP_HZ / spacing_hz))
    power = squared(torch.view_as_real(spectrum)).transpose(1, 2)
    # A harmonic may peak beside the bin where it is expected.
    peaks = F.max_pool1d(power[..., :points], 3, stride=1, padding=1)
    level = 10 * peaks.clamp(min=1e-14).log10()
    pitch = pitch_hz(power, rate)[..., None] / spacing_hz
    place = torch.arange(points, device=spectrum.device) / pitch

    def harmonic(number: Tensor) -> Tensor:
        return level.gather(2, (number.clamp(min=1) * pitch).round().clamp(max=points - 1).long())

    return torch.lerp(harmonic(place.floor()), harmonic(place.floor() + 1), place.frac())


def pitch_hz(power: Tensor, rate: int) -> Tensor:
    """Estimate the pitch of each frame from the autocorrelation that belongs to its magnitudes.

    Magnitudes rather than powers, because in the power spectrum a formant on the second harmonic hides the first.

    Args:
        power: (batch, frames, bins).
        rate: sample rate in Hz.

    Returns:
        (batch, frames) in Hz; any number where there is no pitch.
    """
    size = 2 * (power.shape[2] - 1)
    shortest, longest = int(rate / PITCH_HZ[1]), min(int(rate / PITCH_HZ[0]), size // 2 - 1)
    window = torch.hann_window(size, device=power.device)
    fading = torch.fft.irfft(torch.fft.rfft(window, n=2 * size).abs().square())
    correlation = torch.fft.irfft(power.sqrt(), n=size)[..., shortest - 1 : longest + 2]
    around = correlation / fading[shortest - 1 : longest + 2]
    middle = around[..., 1:-1]
    high = middle >= FIRST_PEAK * middle.amax(-1, keepdim=True)
    peaks = high & (middle >= around[..., :-2]) & (middle >= around[..., 2:])
    return rate / (shortest + parabolic_peak(around, peaks.int().argmax(-1, keepdim=True) + 1)[..., 0] - 1)


def parabolic_peak(values: Tensor, at: Tensor) -> Tensor:
    """Find where the parabola through a value and its two neighbours is highest.

    Args:
        values: (..., n).
        at: (..., k) int64, places in the last dimension.

    Returns:
        (..., k), within half a place of `at`.
    """
    before, peak, after = (values.gather(-1, at + side) for side in (-1, 0, 1))
    bend = (before - 2 * peak + after).clamp(max=-1e-9)
    return at + ((before - after) / (2 * bend)).clamp(-0.5, 0.5)


def move_envelope(spectrum: Tensor, rate: int, ratio: Tensor) -> Tensor:
    """Give each frequency f of a spectrum (batch, bins, frames) the envelope that was at f / ratio (batch,)."""
    line = envelope_db(spectrum, rate)
    points = line.shape[2]
    source = (torch.arange(points, device=ratio.device) / ratio[:, None]).clamp(0, points - 1 - 1e-3)
    below = source.long()[:, None].expand_as(line)
    moved = torch.lerp(line.gather(2, below), line.gather(2, below + 1), source.frac()[:, None])
    gain = db_to_gain((moved - line).clamp(-40, 40))
    # Above the top it stays as it is there.
    return spectrum * F.pad(gain, (0, spectrum.shape[1] - points), mode="replicate").transpose(1, 2)


def play_at(waves: Tensor, speed: Tensor) -> Tensor:
    """Play each clip `speed` (batch,) times as fast, by cutting off or extending its spectrum.

    The result has the nearest number of samples at which a transform is fast; that changes the speed by about 0.1 % at
    most, a fiftieth of a semitone.

    Returns:
        (batch, fewer or more samples).
    """
    size = fast_size(waves.shape[1] + 64)
    spectra = torch.fft.rfft(waves, n=size)
    played = []
    for spectrum, times in zip(spectra, speed.tolist(), strict=True):
        samples = nearest_smooth(round(size / times))
        bins = samples // 2 + 1
        fitted = F.pad(torch.view_as_real(spectrum), (0, 0, 0, bins - len(spectrum)))
        played.append(torch.fft.irfft(torch.view_as_complex(fitted), n=samples) * (samples / size))
    room = -(-waves.shape[1] * max(map(len, played)) // size)
    return torch.stack([F.pad(wave, (0, room - len(wave))) for wave in played])


def nearest_smooth(number: int) -> int:
    """Return the nearest even number without a prime factor above 13, a size at which transforms are fast."""
    for distance in range(number):
        for candidate in (number - distance, number + distance):
            rest = candidate
            for prime in (2, 3, 5, 7, 11, 13):
                while rest % prime == 0:
                    rest //= prime
            if rest == 1 and candidate % 2 == 0:
                return candidate
    raise ValueError(f"no size near {number}")
