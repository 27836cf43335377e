"""From notes and syllables to curves over time: pitch, formants, voicing, breath, and the noises of consonants.

Curves have `CONTROL_HZ` points a second. A vowel begins on its note's beat; as in real singing, the consonant before it
is taken from the end of the previous note.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from pipeline.demo.singer import Singer
from pipeline.demo.song import Note

CONTROL_HZ = 1000
BREATH_REST_S = 0.45  # the singer breathes in a rest of at least this length
RELEASE_S = 0.1  # about how long a phrase takes to die away


@dataclass(frozen=True)
class Consonant:
    """How a consonant is made: `formants_hz` for a tract of length 1, or none to use the vowel's.

    `voicing` and `aspiration` are amplitudes relative to a vowel's, `damping` multiplies formant bandwidths.
    `noise` is (start before the vowel in s, duration in s, centre in Hz, width in Hz, level in dB).
    """

    duration_s: float
    formants_hz: tuple[float, float, float] | None
    voicing: float = 0.0
    damping: float = 1.0
    aspiration: float = 0.0
    noise: tuple[float, float, float, float, float] | None = None


CONSONANTS: dict[str, Consonant] = {
    "": Consonant(0.0, None, 1.0),
    "m": Consonant(0.080, (260, 1000, 2200), 0.40, 2.5),
    "n": Consonant(0.075, (260, 1500, 2500), 0.40, 2.5),
    "l": Consonant(0.065, (360, 1250, 2700), 0.70, 1.5),
    "r": Consonant(0.060, (330, 1150, 1600), 0.60, 1.3),
    "w": Consonant(0.075, (300, 650, 2200), 0.80),
    "y": Consonant(0.075, (270, 2150, 3000), 0.80),
    "b": Consonant(0.060, (250, 900, 2200), 0.06, noise=(0.008, 0.010, 900, 900, -18)),
    "d": Consonant(0.055, (250, 1700, 2600), 0.06, noise=(0.010, 0.012, 3800, 2500, -17)),
    "g": Consonant(0.060, (250, 1900, 2300), 0.06, noise=(0.014, 0.016, 2100, 1100, -15)),
    "p": Consonant(0.095, (250, 900, 2200), 0.0, aspiration=1.5, noise=(0.035, 0.012, 1000, 1200, -16)),
    "t": Consonant(0.095, (250, 1700, 2600), 0.0, aspiration=2.0, noise=(0.040, 0.022, 4500, 3000, -12)),
    "k": Consonant(0.100, (250, 1900, 2300), 0.0, aspiration=2.0, noise=(0.045, 0.024, 2200, 1200, -11)),
    "s": Consonant(0.115, (280, 1700, 2600), 0.0, noise=(0.110, 0.105, 0, 2600, -11)),
    "f": Consonant(0.095, (280, 1100, 2200), 0.0, noise=(0.090, 0.085, 6500, 6000, -22)),
    "v": Consonant(0.070, (280, 1100, 2200), 0.40, 1.5, noise=(0.065, 0.060, 6000, 6000, -28)),
    "h": Consonant(0.070, None, 0.0, aspiration=3.0),
}


@dataclass(frozen=True)
class Noise:
    """A burst or hiss: when, how long, its band, and its level relative to the sung voice."""

    start_s: float
    duration_s: float
    centre_hz: float
    width_hz: float
    level_db: float


@dataclass(frozen=True)
class Phrasing:
    """Curves of equal length n at `CONTROL_HZ`: `formants_hz` (n, 3), the others (n,); and the noises."""

    f0_hz: np.ndarray
    formants_hz: np.ndarray
    voicing: np.ndarray
    aspiration: np.ndarray
    damping: np.ndarray
    noises: tuple[Noise, ...]

    @property
    def times_s(self) -> np.ndarray:
        """The times of the curves' values, (n,) seconds."""
        return np.arange(len(self.f0_hz)) / CONTROL_HZ


def phrase(singer: Singer, melody: Sequence[Note], generator: np.random.Generator) -> Phrasing:
    """Return curves for a melody whose notes are in order and don't overlap; they end a little after its last note."""
    check(melody)
    size = int((melody[-1].start_s + melody[-1].duration_s + 0.3) * CONTROL_HZ)
    formants = np.ones((size, 3)) * singer.vowels_hz["a"]
    voicing, aspiration, damping = np.zeros(size), np.zeros(size), np.ones(size)
    noises = []
    end_before_s = 0.0
    for number, note in enumerate(melody):
        consonant, vowel = CONSONANTS[note.syllable[:-1]], singer.vowels_hz[note.syllable[-1]]
        room_s = note.start_s - end_before_s + (0.4 * melody[number - 1].duration_s if number else 0.0)
        duration_s = min(consonant.duration_s, room_s)
        end_s = note.start_s + note.duration_s
        onset, start, end = _index(note.start_s - duration_s), _index(note.start_s), _index(end_s)
        locus = vowel if consonant.formants_hz is None else np.array(consonant.formants_hz) / singer.tract_length
        # The mouth takes the shape of a syllable before its sound begins.
        formants[max(0, onset - 30) : start] = locus
        formants[start:] = vowel
        accent = generator.uniform(0.8, 1.0)
        voicing[onset:start], voicing[start:end] = consonant.voicing * accent, accent
        if number + 1 == len(melody) or melody[number + 1].start_s > end_s + 0.1:
            fade = min(RELEASE_S, note.duration_s / 3)
            voicing[_index(end_s - fade) : end] *= 0.3
        damping[onset:start] = consonant.damping
        aspiration[onset:start], aspiration[start:end] = consonant.voicing, accent
        if consonant.aspiration:
            aspiration[max(onset, start - 40) : start + 10] = consonant.aspiration
        noises += _consonant_noise(consonant, note, duration_s, singer)
        if note.start_s - end_before_s > BREATH_REST_S:
            noises.append(Noise(max(0.0, note.start_s - duration_s - 0.36), 0.28, 1700.0, 2200.0, -27.0))
        end_before_s = end_s
    return Phrasing(
        f0_hz=_pitch(singer, melody, size, generator),
        formants_hz=np.exp(gaussian_filter1d(np.log(formants), 0.018 * CONTROL_HZ, axis=0, mode="nearest")),
        voicing=gaussian_filter1d(voicing, 0.008 * CONTROL_HZ),
        aspiration=gaussian_filter1d(aspiration, 0.006 * CONTROL_HZ),
        damping=gaussian_filter1d(damping, 0.008 * CONTROL_HZ),
        noises=tuple(noises),
    )


def check(melody: Sequence[Note]) -> None:
    """Raise a ValueError that names the note, if a melody can't be sung."""
    if not melody:
        raise ValueError("a melody needs at least one note")
    end_s = 0.0
    for number, note in enumerate(melody):
        if note.start_s < end_s - 1e-6 or note.duration_s <= 0:
            raise ValueError(f"note {number} begins before the previous one ends, or has no length: {note}")
        if note.syllable[:-1] not in CONSONANTS or note.syllable[-1:] not in {"a", "e", "i", "o", "u"}:
            raise ValueError(f"note {number} has a syllable that can't be sung: {note.syllable!r}")
        end_s = note.start_s + note.duration_s


def _index(time_s: float) -> int:
    return max(0, round(time_s * CONTROL_HZ))


def _consonant_noise(consonant: Consonant, note: Note, duration_s: float, singer: Singer) -> list[Noise]:
    if consonant.noise is None:
        return []
    before_s, long_s, centre_hz, width_hz, level_db = consonant.noise
    centre_hz = centre_hz / singer.tract_length if centre_hz else singer.sibilant_hz
    before_s = min(before_s, duration_s)
    return [Noise(max(0.0, note.start_s - before_s), min(long_s, max(before_s, 0.008)), centre_hz, width_hz, level_db)]


def _pitch(singer: Singer, melody: Sequence[Note], size: int, generator: np.random.Generator) -> np.ndarray:
    """Return f0 in Hz: steps with portamento, a scoop into each phrase, vibrato on held notes, and a slow drift."""
    midi, vibrato = np.full(size, float(melody[0].midi)), np.zeros(size)
    scoop = np.zeros(size)
    end_before_s = -np.inf
    for note in melody:
        onset, end = _index(note.start_s - 0.05), _index(note.start_s + note.duration_s)
        midi[onset:] = note.midi
        if note.start_s - end_before_s > 0.1:
            scoop[onset : _index(note.start_s + 0.04)] = -singer.scoop_semitones * generator.uniform(0.5, 1.0)
        vibrato[_index(note.start_s + singer.vibrato_delay_s) : end] = 1.0
        end_before_s = note.start_s + note.duration_s
    glide = gaussian_filter1d(midi, singer.portamento_s / 2.5 * CONTROL_HZ, mode="nearest")
    glide += gaussian_filter1d(scoop, 0.03 * CONTROL_HZ)
    rate_hz = singer.vibrato_hz * (1 + 0.06 * _wander(size, 1.5, generator))
    phase = 2 * np.pi * np.cumsum(rate_hz) / CONTROL_HZ + generator.uniform(0, 2 * np.pi)
    depth = singer.vibrato_cents * (1 + 0.2 * _wander(size, 1.5, generator))
    cents = depth * gaussian_filter1d(vibrato, 0.08 * CONTROL_HZ) * np.sin(phase) + 4.0 * _wander(size, 2.0, generator)
    return 440.0 * 2 ** ((glide - 69 + cents / 100) / 12)


def _wander(size: int, rate_hz: float, generator: np.random.Generator) -> np.ndarray:
    """Return slow noise with a standard deviation of 1, `(size,)`."""
    slow = gaussian_filter1d(generator.standard_normal(size), CONTROL_HZ / (2 * np.pi * rate_hz), mode="wrap")
    return slow / max(float(slow.std()), 1e-9)
