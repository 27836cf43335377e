"""Source-filter synthesis of a singing voice: glottal pulses and breath, shaped by the formants of a vocal tract.

Each glottal cycle is computed as a spectrum (the pulse's closed form times the tract's response at that moment),
transformed into samples and added where the cycle begins, which may be between two samples. So nothing aliases, and
formants can move freely.
Pulse: the KLGLOTT88 polynomial with a one-pole tilt (Klatt & Klatt 1990); tract: a cascade of analogue resonances
(Fant 1960) with the singer's formant and two dips; breath: noise through the same tract, louder while the glottis
is open.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from pipeline.demo.phrasing import CONTROL_HZ, Noise, Phrasing, phrase
from pipeline.demo.singer import Singer
from pipeline.demo.song import Note
from pipeline.sound.audio import to_samples
from pipeline.sound.levels import db_to_gain

LEVEL_RMS = 0.1  # of the voice while it sounds
TOP_HZ = 12000.0  # upper limit of voiced sound
RESPONSE_S = 0.045  # after which the sharpest formant has decayed by more than 50 dB
CHUNK = 512  # cycles computed at a time
BREATH_FRAME_S = 0.012
BANDWIDTHS_HZ = (65.0, 85.0, 125.0)  # F1, F2, F3


def sing(singer: Singer, melody: Sequence[Note], sample_rate_hz: int, generator: np.random.Generator) -> np.ndarray:
    """Return the melody as sung by the singer, `(samples,)` float32 with a level of `LEVEL_RMS` where it sounds.

    Raises:
        ValueError: the melody overlaps itself, or has a syllable that can't be sung.
    """
    phrasing = phrase(singer, melody, generator)
    size = to_samples(len(phrasing.f0_hz) / CONTROL_HZ, sample_rate_hz)
    tract = Tract(singer, sample_rate_hz)
    voiced, open_glottis = _voiced(singer, phrasing, tract, size, generator)
    level = active_rms(voiced, sample_rate_hz)
    breath = _breath(phrasing, tract, open_glottis, generator)
    breath *= level * db_to_gain(singer.breath_db) / max(active_rms(breath, sample_rate_hz), 1e-12)
    wave = voiced + breath
    for noise in phrasing.noises:
        burst = _burst(noise, sample_rate_hz, generator) * level
        start = to_samples(noise.start_s, sample_rate_hz)
        wave[start : start + len(burst)] += burst[: max(0, size - start)]
    return (wave * (LEVEL_RMS / max(active_rms(wave, sample_rate_hz), 1e-12))).astype(np.float32)


def active_rms(wave: np.ndarray, sample_rate_hz: int) -> float:
    """Return the RMS of the last axis over the 50 ms frames within 30 dB of the loudest; 0 for silence."""
    frame = to_samples(0.05, sample_rate_hz)
    whole = wave[..., : wave.shape[-1] // frame * frame]
    power = (whole.reshape(-1, whole.shape[-1] // frame, frame).astype(np.float64) ** 2).mean(axis=(0, 2))
    loud = power[power > power.max(initial=0.0) * 1e-3]
    return float(np.sqrt(loud.mean())) if len(loud) else 0.0


class Tract:
    """A singer's vocal tract on a grid of frequencies: a `fixed` response, and one that moves with the vowels."""

    def __init__(self, singer: Singer, sample_rate_hz: int):
        self.sample_rate_hz = sample_rate_hz
        self.fft_size = next_fast_len(to_samples(RESPONSE_S, sample_rate_hz), real=True)
        bins_hz = np.fft.rfftfreq(self.fft_size, 1 / sample_rate_hz)
        self.grid_hz = bins_hz[bins_hz < TOP_HZ]
        self.bandwidth = singer.bandwidth
        fixed = np.ones(len(self.grid_hz), dtype=complex)
        for formant_hz in singer.upper_formants_hz:
            fixed *= resonance(self.grid_hz, formant_hz, singer.bandwidth * formant_hz / 16)
        gain_db = singer.ring_db * _bump(self.grid_hz, singer.ring_hz, 450.0)
        gain_db -= singer.dip_db * _bump(self.grid_hz, singer.dip_hz, 350.0)
        gain_db -= singer.nasal_db * _bump(self.grid_hz, singer.nasal_hz, 160.0)
        # Fade out below the end of the grid, where every cycle would ring otherwise.
        fade = np.clip((TOP_HZ - self.grid_hz) / 2000.0, 0, 1)
        self.fixed = fixed * db_to_gain(gain_db) * fade

    def respond(self, formants_hz: np.ndarray, damping: np.ndarray) -> np.ndarray:
        """Return responses `(moments, bins)` complex for `formants_hz` `(moments, 3)` and `damping` `(moments,)`."""
        response = np.broadcast_to(self.fixed, (len(formants_hz), len(self.fixed)))
        for number, bandwidth_hz in enumerate(BANDWIDTHS_HZ):
            widths = bandwidth_hz * self.bandwidth * damping[:, None]
            response = response * resonance(self.grid_hz, formants_hz[:, number, None], widths)
        return response

    def samples(self, spectra: np.ndarray) -> np.ndarray:
        """Return waves `(moments, fft_size)` from spectra on the grid, `(moments, bins)`."""
        return irfft(spectra, self.fft_size, axis=-1)


def resonance(grid_hz: np.ndarray, formant_hz: np.ndarray | float, bandwidth_hz: np.ndarray | float) -> np.ndarray:
    """Return a pair of analogue poles with a gain of 1 at 0 Hz, evaluated on the grid."""
    square = formant_hz**2 + (bandwidth_hz / 2) ** 2
    return square / (square - grid_hz**2 + 1j * grid_hz * bandwidth_hz)


def pulse_spectrum(grid_hz: np.ndarray, open_s: np.ndarray, tilt_hz: np.ndarray | float) -> np.ndarray:
    """Return spectra `(cycles, bins)` of the glottal flow's derivative, 2x - 3x^2 for open times `(cycles, 1)`."""
    u = 2j * np.pi * np.maximum(grid_hz, 1.0) * open_s
    closing = np.exp(-u)
    first = (1 - (1 + u) * closing) / u**2
    second = (2 - (2 + 2 * u + u**2) * closing) / u**3
    return (2 * first - 3 * second) * open_s * (grid_hz > 0) / (1 + 1j * grid_hz / tilt_hz)


def _bump(grid_hz: np.ndarray, centre_hz: float, width_hz: float) -> np.ndarray:
    return np.exp(-(((grid_hz - centre_hz) / width_hz) ** 2))


def _voiced(
    singer: Singer, phrasing: Phrasing, tract: Tract, size: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of the voice's cycles, and how open the glottis is (1: open, less if closed); both `(size,)`."""
    rate = tract.sample_rate_hz
    starts_s, f0_hz = _cycles(singer, phrasing, generator)
    at = {name: np.interp(starts_s, phrasing.times_s, getattr(phrasing, name)) for name in ("voicing", "damping")}
    formants = np.stack([np.interp(starts_s, phrasing.times_s, f) for f in phrasing.formants_hz.T], axis=1)
    # A soprano opens her mouth wider for higher notes, so that F1 never lies below the note (Sundberg 1975).
    formants[:, 0] = np.maximum(formants[:, 0], 1.05 * f0_hz)
    amplitude = at["voicing"] * np.exp(singer.shimmer * generator.standard_normal(len(starts_s)))
    wave, open_glottis = np.zeros(size + tract.fft_size), np.full(size, 0.3)
    open_s = singer.open_quotient / f0_hz
    for part in _parts(len(starts_s)):
        first, shift = np.divmod(starts_s[part] * rate, 1.0)
        # In soft singing the overtones lose more level than the fundamental.
        tilt_hz = singer.tilt_hz * (0.4 + 0.6 * at["voicing"][part, None])
        spectra = pulse_spectrum(tract.grid_hz, open_s[part, None], tilt_hz)
        spectra *= tract.respond(formants[part], at["damping"][part])
        spectra *= np.exp(-2j * np.pi * tract.grid_hz * (shift[:, None] / rate)) * amplitude[part, None]
        _add(wave, first.astype(int), tract.samples(spectra))
        for begin, end in zip(first.astype(int), (first + open_s[part] * rate).astype(int), strict=True):
            open_glottis[begin:end] = 1.0
    return wave[:size], open_glottis


def _cycles(singer: Singer, phrasing: Phrasing, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the start in s and f0 in Hz of every voiced glottal cycle, with jitter."""
    phase = np.concatenate([[0.0], np.cumsum(phrasing.f0_hz[:-1])]) / CONTROL_HZ
    starts_s = np.interp(np.arange(1, int(phase[-1])), phase, phrasing.times_s)
    f0_hz = np.interp(starts_s, phrasing.times_s, phrasing.f0_hz)
    starts_s = starts_s + singer.jitter * generator.standard_normal(len(starts_s)) / f0_hz / np.sqrt(2)
    voiced = np.interp(starts_s, phrasing.times_s, phrasing.voicing) > 0.01
    return starts_s[voiced], f0_hz[voiced]


def _breath(phrasing: Phrasing, tract: Tract, open_glottis: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return the noise of the open glottis filtered by the tract, `(size,)`, at an arbitrary level."""
    size, rate = len(open_glottis), tract.sample_rate_hz
    times = np.arange(size) / rate
    noise = generator.standard_normal(size) * open_glottis * np.interp(times, phrasing.times_s, phrasing.aspiration)
    length = to_samples(BREATH_FRAME_S, rate) // 2 * 2
    hop = length // 2
    window = np.hanning(length + 1)[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(noise, length)[::hop] * window
    starts = np.arange(len(frames)) * hop
    centres_s = (starts + hop) / rate
    formants = np.stack([np.interp(centres_s, phrasing.times_s, f) for f in phrasing.formants_hz.T], axis=1)
    wave = np.zeros(size + tract.fft_size)
    for part in _parts(len(frames)):
        spectra = rfft(frames[part], tract.fft_size, axis=-1)[:, : len(tract.grid_hz)]
        # The coupling to the open glottis broadens the formants.
        spectra = spectra * tract.respond(formants[part], np.full(len(spectra), 1.6))
        _add(wave, starts[part], tract.samples(spectra))
    return wave[:size]


def _burst(noise: Noise, sample_rate_hz: int, generator: np.random.Generator) -> np.ndarray:
    """Return band-limited noise with soft edges, `(samples,)`, whose RMS is the noise's level."""
    size = max(8, to_samples(noise.duration_s, sample_rate_hz))
    spectrum = rfft(generator.standard_normal(size))
    band = _bump(np.fft.rfftfreq(size, 1 / sample_rate_hz), noise.centre_hz, noise.width_hz / 1.5)
    wave = irfft(spectrum * band, size) * np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 0.5
    return wave * db_to_gain(noise.level_db) / max(float(np.sqrt((wave**2).mean())), 1e-12)


def _parts(count: int) -> Iterator[slice]:
    return (slice(start, min(count, start + CHUNK)) for start in range(0, count, CHUNK))


def _add(wave: np.ndarray, starts: np.ndarray, pieces: np.ndarray) -> None:
    """Add each piece to the wave at its start, in place."""
    for start, piece in zip(starts, pieces, strict=True):
        wave[start : start + len(piece)] += piece
