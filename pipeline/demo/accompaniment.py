"""The accompaniment of a song in stereo: one of three arrangements of pads, plucked strings, FM keys, bass, drums.

Each instrument's sound is synthesised once per pitch, mono, and added at its beats. Sounds are float64 with a peak of
about 1; the arrangement sets their gains.
"""

from collections.abc import Callable, Iterator

import numpy as np
from scipy.signal import butter, lfilter, sosfilt

from pipeline.demo.song import BEATS, Song
from pipeline.sound.audio import to_samples

LEVEL_RMS = 0.1
Sound = np.ndarray
Placed = tuple[float, Sound, float, float]  # start in s, the sound, gain, pan from -1 (left) to 1 (right)


def accompany(song: Song, arrangement: str, sample_rate_hz: int, generator: np.random.Generator) -> np.ndarray:
    """Return an accompaniment, `(2, samples)` float32, as long as the song and with an RMS of `LEVEL_RMS`."""
    size = to_samples(song.duration_s, sample_rate_hz)
    mix = np.zeros((2, size))
    for placed in (
        *_harmony(song, arrangement, sample_rate_hz, generator),
        *_bass(song, sample_rate_hz, generator),
        *_drums(song, sample_rate_hz, generator),
    ):
        _place(mix, placed, sample_rate_hz)
    rms = float(np.sqrt((mix**2).mean()))
    return (mix * (LEVEL_RMS / rms)).astype(np.float32)


def _place(mix: np.ndarray, placed: Placed, sample_rate_hz: int) -> None:
    """Add a sound to the mix, in place; what extends beyond the end of the mix is cut off."""
    start_s, sound, gain, pan = placed
    start = to_samples(start_s, sample_rate_hz)
    sound = sound[: max(0, mix.shape[1] - start)]
    angle = (pan + 1) * np.pi / 4
    mix[0, start : start + len(sound)] += gain * np.cos(angle) * sound
    mix[1, start : start + len(sound)] += gain * np.sin(angle) * sound


def _harmony(song: Song, arrangement: str, rate: int, generator: np.random.Generator) -> Iterator[Placed]:
    """Yield the chords: held by the pads, struck twice a bar by the keys, or picked note by note on the strings."""
    makers: dict[str, Callable[[float, float, int, np.random.Generator], Sound]] = {
        "pads": pad, "strings": pluck, "keys": fm_key,
    }  # fmt: skip
    if arrangement not in makers:
        raise ValueError(f"no arrangement {arrangement!r}: one of {', '.join(makers)}")
    make, bar_s = makers[arrangement], BEATS * song.beat_s
    length_s = {"pads": bar_s, "strings": 1.6, "keys": 2 * song.beat_s}[arrangement]
    octave = 0 if arrangement == "pads" else 12
    sounds = {p: make(p + octave, length_s, rate, generator) for p in sorted({p for c in song.chords for p in c})}
    pattern = generator.permutation([0, 1, 2, 1, 0, 2, 1, 2])
    for bar, chord in enumerate(song.chords):
        if arrangement == "strings":
            for eighth, index in enumerate(pattern):
                accent = 0.55 * generator.uniform(0.8, 1.0)
                yield bar * bar_s + eighth * song.beat_s / 2, sounds[chord[index]], accent, 0.8 * (index - 1)
            continue
        for beat in (0,) if arrangement == "pads" else (0, 2):
            for index, pitch in enumerate(chord):
                yield bar * bar_s + beat * song.beat_s, sounds[pitch], 0.28, 0.7 * (index - 1)


def _bass(song: Song, rate: int, generator: np.random.Generator) -> Iterator[Placed]:
    """Yield the root on the first and third beat, with an occasional fifth or octave in between."""
    sounds: dict[int, Sound] = {}
    for bar, chord in enumerate(song.chords):
        root = chord[0] - 12 if chord[0] >= 52 else chord[0]
        beats = [(0.0, root), (2.0, root)]
        if generator.random() < 0.5:
            beats.append((3.5, root + int(generator.choice([7, 12]))))
        for beat, pitch in beats:
            if pitch not in sounds:
                sounds[pitch] = bass_note(pitch - 12, 1.4 * song.beat_s, rate)
            yield (bar * BEATS + beat) * song.beat_s, sounds[pitch], 0.5, 0.0


def _drums(song: Song, rate: int, generator: np.random.Generator) -> Iterator[Placed]:
    """Yield the kick on 1 and 3, the snare on 2 and 4 and hi-hats on the eighths, from the second bar."""
    low, sharp, hiss = kick(rate), snare(rate, generator), hat(rate, generator)
    shuffle = generator.random() < 0.3
    for bar in range(1, len(song.chords)):
        for eighth in range(2 * BEATS):
            late = 1 / 6 if shuffle and eighth % 2 else 0.0
            start_s = (bar * BEATS + eighth / 2 + late) * song.beat_s
            if eighth in (0, 4) or (eighth == 5 and generator.random() < 0.3):
                yield start_s, low, 0.7, 0.0
            if eighth in (2, 6):
                yield start_s, sharp, 0.4, 0.1
            yield start_s, hiss, 0.16 * generator.uniform(0.6, 1.0), 0.4


def _hz(midi: float) -> float:
    return 440.0 * 2 ** ((midi - 69) / 12)


def _fade(sound: np.ndarray, attack_s: float, release_s: float, rate: int) -> Sound:
    """Fade in and out in place, so that nothing clicks."""
    attack, release = to_samples(attack_s, rate), to_samples(release_s, rate)
    sound[:attack] *= np.linspace(0, 1, attack)
    sound[-release:] *= np.linspace(1, 0, release)
    return sound


def pad(midi: float, length_s: float, rate: int, generator: np.random.Generator) -> Sound:
    """Return a held chord tone of three detuned voices of eight harmonics, `(samples,)`."""
    times = np.arange(to_samples(length_s, rate)) / rate
    sound = np.zeros(len(times))
    for cents in (-6.0, 0.0, 7.0):
        base = 2 * np.pi * _hz(midi + cents / 100) * times + generator.uniform(0, 2 * np.pi)
        for harmonic in range(1, 9):
            sound += np.sin(harmonic * base) / harmonic**1.5
    return _fade(sound / 4, min(0.08, length_s / 4), min(0.15, length_s / 4), rate)


def pluck(midi: float, length_s: float, rate: int, generator: np.random.Generator) -> Sound:
    """Return a plucked string, `(samples,)`: noise in a loop that softens it (Karplus & Strong 1983)."""
    period = rate / _hz(midi)
    whole, later = int(period), period % 1.0
    excitation = np.zeros(to_samples(length_s, rate))
    excitation[:whole] = generator.uniform(-1, 1, whole)
    # The softening filter delays by one sample; a blend of two samples delays by the fraction of one.
    taps = np.convolve([0.25, 0.5, 0.25], [1 - later, later])
    loop = np.zeros(whole + 3)
    loop[0] = 1.0
    loop[whole - 1 :] = -(0.5 ** (1 / (_hz(midi) * 0.35))) * taps
    sound = lfilter([1.0], loop, excitation)
    return _fade(sound / max(float(np.abs(sound).max()), 1e-9), 0.001, 0.05, rate)


def fm_key(midi: float, length_s: float, rate: int, generator: np.random.Generator) -> Sound:
    """Return an electric piano, `(samples,)`: a sine modulated by another, both dying away (Chowning 1973)."""
    times = np.arange(to_samples(length_s, rate)) / rate
    phase = 2 * np.pi * _hz(midi) * times
    index = generator.uniform(1.0, 1.6) * np.exp(-times / 0.35)
    tine = 0.15 * np.exp(-times / 0.08) * np.sin(7 * phase)
    sound = np.exp(-times / 0.7) * (np.sin(phase + index * np.sin(phase)) + tine)
    return _fade(sound, 0.003, 0.05, rate)


def bass_note(midi: float, length_s: float, rate: int) -> Sound:
    """Return a bass guitar's note, `(samples,)`: a few harmonics, of which higher ones decay faster."""
    times = np.arange(to_samples(length_s, rate)) / rate
    phase = 2 * np.pi * _hz(midi) * times
    sound = sum(np.exp(-times * (1.2 + harmonic)) * np.sin(harmonic * phase) / harmonic for harmonic in range(1, 7))
    return _fade(np.asarray(sound), 0.005, 0.03, rate)


def kick(rate: int) -> Sound:
    """Return a bass drum, `(samples,)`: a sine that falls from 150 to 50 Hz."""
    times = np.arange(to_samples(0.25, rate)) / rate
    phase = 2 * np.pi * (50 * times + 100 * 0.03 * (1 - np.exp(-times / 0.03)))
    return _fade(np.sin(phase) * np.exp(-times / 0.08), 0.001, 0.02, rate)


def snare(rate: int, generator: np.random.Generator) -> Sound:
    """Return a snare drum, `(samples,)`: noise and two tones of the drumhead."""
    times = np.arange(to_samples(0.2, rate)) / rate
    noise = sosfilt(butter(2, 900, "highpass", fs=rate, output="sos"), generator.standard_normal(len(times)))
    skin = np.sin(2 * np.pi * 185 * times) + 0.5 * np.sin(2 * np.pi * 330 * times)
    sound = np.asarray(noise) * np.exp(-times / 0.05) + skin * np.exp(-times / 0.04)
    return _fade(0.5 * sound, 0.001, 0.02, rate)


def hat(rate: int, generator: np.random.Generator) -> Sound:
    """Return a closed hi-hat, `(samples,)`: bright noise, very short."""
    times = np.arange(to_samples(0.08, rate)) / rate
    noise = sosfilt(butter(4, 7000, "highpass", fs=rate, output="sos"), generator.standard_normal(len(times)))
    return _fade(np.asarray(noise) * np.exp(-times / 0.018), 0.0005, 0.01, rate)
