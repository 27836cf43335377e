"""A recording: one or two singers and their accompaniment, composed, performed and mixed.

The voice gets a little reverberation and is a few decibels louder than the accompaniment, as in pop music.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import oaconvolve

from pipeline.demo.accompaniment import accompany
from pipeline.demo.singer import Singer
from pipeline.demo.song import BEATS, Note, Song, compose
from pipeline.demo.voice import active_rms, sing
from pipeline.sound.audio import to_samples
from pipeline.sound.levels import db_to_gain

VOICE_OVER_ACCOMPANIMENT_DB = (0.0, 3.0)
PEAK = (0.5, 0.9)


@dataclass(frozen=True)
class Recording:
    """A recording's stems: `vocals` and `accompaniment`, `(2, samples)` float32 each; the mix is their sum."""

    song: Song
    vocals: np.ndarray
    accompaniment: np.ndarray
    sample_rate_hz: int

    @property
    def mix(self) -> np.ndarray:
        """The finished song, `(2, samples)` float32 within full scale."""
        return self.vocals + self.accompaniment


def perform(
    singers: Sequence[Singer], duration_s: float, arrangement: str, sample_rate_hz: int, generator: np.random.Generator
) -> Recording:
    """Return a new song of about `duration_s`, with no singer, one, or two who take turns and sing the end together."""
    low = max((s.low_midi for s in singers), default=50.0)
    high = max(low + 9.0, min((s.high_midi for s in singers), default=62.0))
    song = compose(low, high, duration_s, generator)
    size = to_samples(song.duration_s, sample_rate_hz)
    accompaniment = accompany(song, arrangement, sample_rate_hz, generator)
    vocals = np.zeros((2, size), dtype=np.float32)
    for number, singer in enumerate(singers):
        dry = sing(singer, part(song, number, len(singers)), sample_rate_hz, generator)[:size]
        vocals[:, : len(dry)] += _in_room(dry, sample_rate_hz, generator)
    if singers:
        over_db = generator.uniform(*VOICE_OVER_ACCOMPANIMENT_DB)
        level = active_rms(accompaniment, sample_rate_hz) * db_to_gain(over_db)
        vocals *= np.float32(level / active_rms(vocals, sample_rate_hz))
    gain = np.float32(generator.uniform(*PEAK) / np.abs(vocals + accompaniment).max())
    return Recording(song, vocals * gain, accompaniment * gain, sample_rate_hz)


def part(song: Song, number: int, singers: int) -> tuple[Note, ...]:
    """Return one singer's notes: all of them for a soloist; in a duet every second two-bar phrase, and the last."""
    phrase_s = 2 * BEATS * song.beat_s
    phrases = [int((note.start_s - phrase_s / 2) / phrase_s + 1e-6) for note in song.melody]
    return tuple(
        note
        for note, phrase in zip(song.melody, phrases, strict=True)
        if phrase % singers == number or phrase == phrases[-1]
    )


def _in_room(dry: np.ndarray, sample_rate_hz: int, generator: np.random.Generator) -> np.ndarray:
    """Return a mono voice with the reverberation of a small room, `(2, samples)` float32."""
    decay_s, wet_db = generator.uniform(0.3, 0.7), generator.uniform(-20.0, -13.0)
    times = np.arange(to_samples(decay_s, sample_rate_hz)) / sample_rate_hz
    echoes = generator.standard_normal((2, len(times))) * 10 ** (-3 * times / decay_s)
    echoes[:, : to_samples(0.012, sample_rate_hz)] = 0.0
    echoes *= db_to_gain(wet_db) / np.sqrt((echoes**2).sum(axis=1, keepdims=True))
    wet = oaconvolve(np.broadcast_to(dry, (2, len(dry))), echoes, axes=-1)[:, : len(dry)]
    return (dry + wet).astype(np.float32)
