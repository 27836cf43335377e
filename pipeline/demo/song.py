"""Songs: a key, a tempo, chords, and a melody with syllables, composed at random by a few rules of melody.

A beat is a quarter note, and a bar has four; times are in seconds from the start of the song; pitches are MIDI numbers.
"""

from dataclasses import dataclass

import numpy as np

from encoder.frozen import Frozen

BEATS = 4
MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 10)
# Scale degrees of the chords of four bars, counted from 0.
PROGRESSIONS = ((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (0, 3, 4, 0), (0, 2, 3, 4), (3, 4, 0, 5))
# The two bars of a phrase as note lengths in beats; the last note is held, and a rest fills up the 8 beats.
RHYTHMS = (
    (1, 1, 0.5, 0.5, 1, 2.5),
    (0.5, 0.5, 1, 1, 1, 1, 2),
    (1.5, 0.5, 1, 1, 0.5, 0.5, 2),
    (0.5, 0.5, 0.5, 0.5, 1, 1, 3),
    (2, 1, 1, 1.5, 0.5, 1),
    (1, 0.5, 0.5, 2, 1, 2),
    (0.5, 1, 0.5, 1, 1, 0.5, 0.5, 2),
)
CONSONANTS = ("", "m", "n", "l", "r", "w", "y", "b", "d", "g", "p", "t", "k", "s", "f", "h", "v")
CONSONANT_WEIGHTS = np.array([4, 4, 5, 5, 3, 2, 2, 3, 4, 2, 2, 4, 3, 4, 2, 2, 2], dtype=float)


class Note(Frozen):
    """One sung note: its time, length and pitch, and its syllable (an optional consonant and a vowel)."""

    start_s: float
    duration_s: float
    midi: float
    syllable: str


@dataclass(frozen=True)
class Song:
    """The score of a song: `chords` is one tuple of MIDI pitches per bar, root first."""

    tempo_bpm: float
    tonic: int
    scale: tuple[int, ...]
    chords: tuple[tuple[int, ...], ...]
    melody: tuple[Note, ...]

    @property
    def beat_s(self) -> float:
        """Length of a beat, seconds."""
        return 60.0 / self.tempo_bpm

    @property
    def duration_s(self) -> float:
        """Length of the song, seconds."""
        return len(self.chords) * BEATS * self.beat_s


def compose(low_midi: float, high_midi: float, duration_s: float, generator: np.random.Generator) -> Song:
    """Return a song of about `duration_s`: one bar of introduction, then two-bar phrases between the two pitches."""
    tempo_bpm = float(generator.uniform(76, 126))
    beat_s = 60.0 / tempo_bpm
    scale = MAJOR if generator.random() < 0.6 else MINOR
    tonic = int(generator.integers(0, 12))
    progression = PROGRESSIONS[int(generator.integers(len(PROGRESSIONS)))]
    phrases = max(1, round((duration_s / beat_s / BEATS - 1) / 2))
    degrees = [progression[0]] + [progression[bar % len(progression)] for bar in range(2 * phrases)]
    chords = tuple(_chord(tonic, scale, degree) for degree in degrees)
    notes: list[Note] = []
    pitch = (low_midi + high_midi) / 2
    for phrase in range(phrases):
        first_bar = 1 + 2 * phrase
        start_beat = float(first_bar * BEATS)
        for length in RHYTHMS[int(generator.integers(len(RHYTHMS)))]:
            bar = min(int(start_beat // BEATS), len(chords) - 1)
            on_beat = length >= 1
            pitches = chords[bar] if on_beat else tuple(tonic + step for step in scale)
            pitch = _next_pitch(pitch, pitches, low_midi, high_midi, generator)
            notes.append(
                Note(
                    start_s=start_beat * beat_s,
                    duration_s=length * beat_s,
                    midi=pitch,
                    syllable=_syllable(generator),
                )
            )
            start_beat += length
    return Song(tempo_bpm, tonic, scale, chords, tuple(notes))


def _chord(tonic: int, scale: tuple[int, ...], degree: int) -> tuple[int, ...]:
    """Return the triad on a degree of the scale, its root in the octave from C3 (48)."""
    steps = [scale[(degree + third) % 7] + 12 * ((degree + third) // 7) for third in (0, 2, 4)]
    root = 48 + (tonic + steps[0]) % 12
    return tuple(root + step - steps[0] for step in steps)


def _next_pitch(
    pitch: float, pitches: tuple[int, ...], low: float, high: float, generator: np.random.Generator
) -> float:
    """Return a pitch of one of the classes within the range, more likely one near the last pitch, rarely the same."""
    classes = {p % 12 for p in pitches}
    choices = np.array([p for p in range(int(np.ceil(low)), int(high) + 1) if p % 12 in classes], dtype=float)
    if not len(choices):
        return float(round(pitch))
    distance = np.abs(choices - pitch)
    weights = np.exp(-((distance / 3.5) ** 2)) * np.where(distance < 0.5, 0.4, 1.0) + 1e-6
    return float(generator.choice(choices, p=weights / weights.sum()))


def _syllable(generator: np.random.Generator) -> str:
    consonant = generator.choice(CONSONANTS, p=CONSONANT_WEIGHTS / CONSONANT_WEIGHTS.sum())
    return f"{consonant}{generator.choice(['a', 'e', 'i', 'o', 'u'], p=[0.28, 0.22, 0.18, 0.2, 0.12])}"
