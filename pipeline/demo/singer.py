"""Synthetic singers: the parameters of a vocal tract and a glottis, and a population to draw them from.

Formants are in Hz as measured in the sound, tract lengths relative to an adult's 17.5 cm. In the population, vowel
formants follow Peterson & Barney (1952), the glottis Klatt & Klatt (1990), vibrato and the singer's formant Sundberg,
"The Science of the Singing Voice" (1987).
"""

import numpy as np
from pydantic import Field

from encoder.frozen import Frozen

# F1, F2, F3 of an adult male singer, in Hz.
VOWELS_HZ: dict[str, tuple[float, float, float]] = {
    "a": (710.0, 1180.0, 2500.0),
    "e": (460.0, 1850.0, 2560.0),
    "i": (300.0, 2180.0, 2900.0),
    "o": (450.0, 860.0, 2480.0),
    "u": (330.0, 740.0, 2330.0),
}
UPPER_FORMANTS = 8  # F4 and up: enough to reach 11 kHz, above which a voice has little energy


class Singer(Frozen):
    """One voice: everything that stays the same from song to song."""

    name: str
    low_midi: float = Field(50.0, ge=30, le=90, description="lowest comfortable note")
    high_midi: float = Field(65.0, ge=30, le=90, description="highest comfortable note")
    vowels_hz: dict[str, tuple[float, float, float]] = Field(
        default_factory=lambda: dict(VOWELS_HZ), description="F1, F2, F3 of each vowel"
    )
    tract_length: float = Field(1.0, ge=0.6, le=1.3, description="relative to 17.5 cm; scales the consonants' formants")
    upper_formants_hz: tuple[float, ...] = Field(
        tuple(3500.0 + 1000.0 * i for i in range(UPPER_FORMANTS)), description="F4 and up, the same in all vowels"
    )
    bandwidth: float = Field(1.0, ge=0.4, le=3.0, description="formant bandwidths relative to the textbook's")
    ring_hz: float = Field(2900.0, ge=2000, le=4500, description="centre of the singer's formant")
    ring_db: float = Field(6.0, ge=0, le=20, description="its height")
    dip_hz: float = Field(4600.0, ge=3000, le=7000, description="the zero of the piriform fossae")
    dip_db: float = Field(10.0, ge=0, le=25, description="its depth")
    nasal_hz: float = Field(1000.0, ge=400, le=2000, description="the nasal zero that colours the vowels")
    nasal_db: float = Field(4.0, ge=0, le=15, description="its depth")
    open_quotient: float = Field(0.6, ge=0.3, le=0.9, description="open part of the glottal cycle")
    tilt_hz: float = Field(2500.0, ge=400, le=8000, description="corner of the glottal low-pass; lower sounds softer")
    jitter: float = Field(0.004, ge=0, le=0.05, description="standard deviation of a cycle's length, relative")
    shimmer: float = Field(0.04, ge=0, le=0.3, description="standard deviation of a cycle's amplitude, relative")
    breath_db: float = Field(-28.0, ge=-80, le=0, description="level of the breath noise, relative to the voice")
    sibilant_hz: float = Field(6500.0, ge=3500, le=9500, description="centre of the s")
    vibrato_hz: float = Field(5.6, ge=3, le=9)
    vibrato_cents: float = Field(45.0, ge=0, le=200, description="amplitude, half of the whole excursion")
    vibrato_delay_s: float = Field(0.3, ge=0, le=2)
    portamento_s: float = Field(0.07, gt=0, le=0.4, description="time of a glide from note to note")
    scoop_semitones: float = Field(0.6, ge=0, le=4, description="how far below its note a phrase begins")


def draw_singer(name: str, voice: float, generator: np.random.Generator) -> Singer:
    """Return a singer of the population; `voice` in [0, 1] goes from bass to soprano, the rest is random."""
    length = 1.06 - 0.26 * voice + generator.normal(0, 0.025)
    # Relative to the mouth, a woman's throat is shorter than a man's, so formants do not all scale alike (Fant 1966).
    scales = np.array([length**-0.9, length**-1.05, length**-1.0])
    vowels = {}
    for vowel, formants in VOWELS_HZ.items():
        first, second, third = np.array(formants) * scales * np.exp(generator.normal(0, (0.08, 0.07, 0.05)))
        vowels[vowel] = (float(first), float(second), float(third))
    third = max(v[2] for v in vowels.values())
    upper = (3500.0 + 1000.0 * np.arange(UPPER_FORMANTS)) / length
    upper = upper + generator.normal(0, 180.0, UPPER_FORMANTS)
    upper[0] = max(upper[0], third + 250.0)
    low = 43.0 + 15.5 * voice + generator.normal(0, 1.2)
    return Singer(
        name=name,
        low_midi=low,
        high_midi=low + generator.uniform(12.5, 16.0),
        vowels_hz=vowels,
        tract_length=length,
        upper_formants_hz=tuple(float(f) for f in np.sort(upper)),
        bandwidth=generator.uniform(0.7, 1.6),
        ring_hz=2750.0 / length**0.6 + generator.normal(0, 150.0),
        ring_db=generator.uniform(0.0, 14.0),
        dip_hz=4500.0 / length + generator.normal(0, 400.0),
        dip_db=generator.uniform(4.0, 22.0),
        nasal_hz=generator.uniform(600.0, 1600.0),
        nasal_db=generator.uniform(0.0, 13.0),
        open_quotient=generator.uniform(0.42, 0.78),
        tilt_hz=float(np.exp(generator.uniform(np.log(600.0), np.log(6000.0)))),
        jitter=generator.uniform(0.002, 0.010),
        shimmer=generator.uniform(0.02, 0.10),
        breath_db=generator.uniform(-36.0, -14.0),
        sibilant_hz=generator.uniform(5200.0, 8000.0),
        vibrato_hz=generator.uniform(4.8, 6.8),
        vibrato_cents=generator.uniform(10.0, 80.0),
        vibrato_delay_s=generator.uniform(0.1, 0.5),
        portamento_s=generator.uniform(0.04, 0.12),
        scoop_semitones=generator.uniform(0.0, 1.5),
    )


def draw_singers(names: list[str], generator: np.random.Generator) -> list[Singer]:
    """Return a singer for each name; their voices go in even steps from bass to soprano, in random order."""
    count = len(names)
    voices = (generator.permutation(count) + 0.5) / count
    return [draw_singer(name, float(voice), generator) for name, voice in zip(names, voices, strict=True)]
