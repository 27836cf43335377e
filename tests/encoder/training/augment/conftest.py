"""A voice whose pitch and formants are known, and how to measure both."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

RATE = 44100
FORMANTS = ((650, 90), (1100, 100), (2500, 140), (3400, 200))
LOUD_DB = -45.0  # harmonics further below the strongest do not count


def envelope_db(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """The vocal tract of the test's voice: resonances in series under a falling source, dB."""
    response = 1 / (1 + hz / 200)
    for centre, width in FORMANTS:
        pole = -width / 2 + 1j * centre
        response = response * np.abs(np.abs(pole) ** 2 / ((1j * hz - pole) * (1j * hz - np.conj(pole))))
    return np.asarray(20 * np.log10(response))


def voice(pitch_hz: float, seconds: float = 2.0) -> Tensor:
    """A steady voice, (1, samples)."""
    time = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    hz = np.arange(1, int(8000 / pitch_hz)) * pitch_hz
    gains = 10 ** (envelope_db(hz) / 20)
    wave = sum((g * torch.sin(2 * torch.pi * f * time + f)) for f, g in zip(hz, gains, strict=True))
    assert isinstance(wave, Tensor)
    return (0.4 * wave / wave.abs().max()).float()[None]


def pitch_of(wave: Tensor, near_hz: float) -> float:
    """Fundamental, Hz: by the lag of a late maximum of the autocorrelation near a multiple of the period."""
    middle = wave[len(wave) // 4 : 3 * len(wave) // 4].double()
    spectrum = torch.fft.rfft(middle, n=2 * len(middle))
    correlation = torch.fft.irfft(spectrum.abs().square())[: len(middle)]
    lag = RATE / near_hz
    for periods in range(1, 41):
        centre, reach = round(lag * periods), max(2, round(0.06 * RATE / near_hz)) if periods == 1 else 4
        window = correlation[centre - reach : centre + reach + 1]
        lag = (centre - reach + int(window.argmax())) / periods
    return RATE / lag


def semitones(wave: Tensor, before_hz: float, expected: float) -> float:
    return float(12 * np.log2(pitch_of(wave, before_hz * 2 ** (expected / 12)) / before_hz))


def harmonics_db(wave: Tensor, pitch_hz: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies up to 5 kHz and levels of the harmonics, dB."""
    middle = wave[len(wave) // 4 : 3 * len(wave) // 4].double().numpy()
    size = 1 << 18
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), size))
    hz = np.arange(1, int(5000 / pitch_hz)) * pitch_hz
    reach = round(0.1 * pitch_hz / RATE * size)
    centres = np.round(hz / RATE * size).astype(int)
    return hz, np.array([20 * np.log10(spectrum[c - reach : c + reach + 1].max()) for c in centres])


def envelope_error_db(before: Tensor, after: Tensor, before_hz: float, after_hz: float, ratio: float = 1.0) -> float:
    """Mean distance of a shifted voice's harmonics from the envelope that they should lie on."""
    hz, levels = harmonics_db(before, before_hz)
    offset = float(np.mean(levels - envelope_db(hz)))
    hz, levels = harmonics_db(after, after_hz)
    should = envelope_db(hz / ratio) + offset
    loud = should > should.max() + LOUD_DB
    return float(np.abs(levels - should)[loud].mean())


class Measure:
    """The voice and the measures that the tests of this folder use."""

    voice = staticmethod(voice)
    semitones = staticmethod(semitones)
    envelope_error_db = staticmethod(envelope_error_db)


@pytest.fixture(scope="session")
def measure() -> type[Measure]:
    """Return the test voice and its measures."""
    return Measure
