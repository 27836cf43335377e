"""The recordings that the shipped encoder is made from: voices in mixes, and what a separator cuts out of those.

    python -m pipeline.recordings AUDIO OUT [--without SINGER ...] [--remixes 5] [--pseudo 2] [--separator spleeter]

AUDIO holds sets of voices: `karaoke/<singer>/<song>` (left the accompaniment, right the voice),
`previews/<artist> - <title>` (vocals left, right, accompaniment left, right), and any other set as `<set>/<singer>`
or `<set>/<singer>/<song>`, files of a voice alone; of `songs/`, whole mixes, only the accompaniment is used. OUT gets
`<set>/<singer>/<song>.flac`, the song in its own mix, and `<song>~1.flac` and so on, an excerpt of it with someone
else's accompaniment: two channels at 16 kHz, the clean voice and the separated one (`encoder.recipes.separated` reads
them). `<set>/<singer>+1/` and so on are pseudo-singers: the same recordings played at another speed and with other
formants, then mixed and separated. A file that is there is not made again, and is the same whenever it is made.

What a separator leaves of a voice depends on what it was mixed with. Accompaniments are few, so they are played up to
a third faster or slower, with more or less treble, and sometimes two at once.
"""

import argparse
import functools
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import soundfile
import soxr
import torch

from encoder.augment.warp import formant_shift
from encoder.recipes.singers import RATE_HZ
from pipeline import audio, separators
from pipeline.evaluate.datasets import READERS
from pipeline.remix import REMIX_DB, with_accompaniment
from pipeline.separators import Separator, vocals_of

WITH_BAND = ("karaoke", "previews")  # sets whose files hold their accompaniment too
EXCERPT_S = 60.0  # longest remix
TWO_BANDS = 0.35  # share of remixes with two accompaniments at once
TILT = (-0.5, 0.5)  # of the sample before, added to each sample of an accompaniment: less treble, or less bass


@dataclass(frozen=True)
class Voice:
    """A file of a set: which channels are the voice (none: all) and, where it has one, its accompaniment."""

    path: Path
    group: str
    singer: str
    voice: tuple[int, ...] = ()
    band: tuple[int, ...] | None = None

    @property
    def name(self) -> str:
        """What its files are called, without suffix."""
        return f"{self.group}/{self.singer}/{self.path.stem}"

    def read(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Return voice and accompaniment, (1 or 2, n) each, and their rate."""
        samples, rate = soundfile.read(self.path, dtype="float32", always_2d=True)
        voice = samples.T[list(self.voice)] if self.voice else samples.T
        return voice, samples.T[list(self.band)] if self.band else np.zeros_like(voice), rate


def find_voices(folder: Path, without: Sequence[str] = ()) -> list[Voice]:
    """Return all voices of a folder of sets, but those of the named singers."""
    found = []
    for path in sorted(path for path in folder.glob("*/**/*") if path.suffix in (".flac", ".ogg", ".wav")):
        group, *inside = path.relative_to(folder).parts
        if group in WITH_BAND:
            part = READERS[group](PurePosixPath(*inside))
            if part is not None:
                found.append(Voice(path, group, part.singer, part.voice, part.accompaniment))
        elif group != "songs":
            found.append(Voice(path, group, path.stem if len(inside) == 1 else path.parent.name))
    return [voice for voice in found if voice.singer not in without]


@dataclass(frozen=True)
class Pseudo:
    """How a recording becomes another singer's: what its speed and its formants are multiplied by."""

    speed: float = 1.0
    formants: float = 1.0

    @classmethod
    def of(cls, voice: Voice, number: int, seed: int) -> "Pseudo":
        """Return the same for all songs of a singer; number 0 is the singer as he or she is."""
        if number == 0:
            return cls()
        rng = np.random.default_rng([seed, number, zlib.crc32(f"{voice.group}/{voice.singer}".encode())])
        return cls(semitones(rng, 3.5), semitones(rng, 2.5))


def semitones(rng: np.random.Generator, most: float) -> float:
    """Return a random factor of up to so many semitones up or down."""
    return float(2 ** (rng.uniform(-most, most) / 12))


def mono(samples: np.ndarray, rate: int, speed: float = 1.0) -> np.ndarray:
    """Return (1, m) at `RATE_HZ`, played at a speed."""
    return soxr.resample(samples.mean(0), rate * speed, RATE_HZ)[None].astype(np.float32)


class Bands:
    """Accompaniments: of the voices that have one, and what separation leaves of whole songs."""

    def __init__(self, voices: Sequence[Voice], songs: Sequence[Path], separator: Separator) -> None:
        self.sources: list[Voice | Path] = [*(voice for voice in voices if voice.band), *songs]
        self.of_song = functools.lru_cache(maxsize=None)(functools.partial(band_of_song, separator))

    def take(self, voice: Voice, size: int, rng: np.random.Generator) -> np.ndarray:
        """Return (1, size), not of the voice's own song: one, or two at once."""
        band = self._one(voice, size, rng)
        if rng.random() < TWO_BANDS:
            other = self._one(voice, size, rng)
            band = level(band) + np.float32(rng.uniform(0.3, 1.0)) * level(other)
        return band

    def _one(self, voice: Voice, size: int, rng: np.random.Generator) -> np.ndarray:
        others = [source for source in self.sources if not (isinstance(source, Voice) and source.path == voice.path)]
        source = others[rng.integers(len(others))]
        samples, rate = (source.read()[1], source.read()[2]) if isinstance(source, Voice) else self.of_song(source)
        band = mono(samples, rate, semitones(rng, 4))
        band = np.tile(band, -(-size // band.shape[1]) + 1)
        start = int(rng.integers(band.shape[1] - size + 1))
        band = band[:, start : start + size]
        before = np.pad(band, ((0, 0), (1, 0)))[:, :-1]
        return band + np.float32(rng.uniform(*TILT)) * before


def band_of_song(separator: Separator, path: Path) -> tuple[np.ndarray, int]:
    """Return (1, n) of a whole song without its vocals, and its rate."""
    song = audio.read(path, separator.sample_rate_hz, separator.channels)
    band = song.samples - vocals_of(separator, song.samples, song.sample_rate_hz)
    return mono(band, song.sample_rate_hz), RATE_HZ


def level(samples: np.ndarray) -> np.ndarray:
    """Bring to a root mean square of 0.1."""
    return samples * np.float32(0.1 / (np.sqrt(np.square(samples).mean()) + 1e-6))


def own_mix(voice: Voice, separator: Separator) -> np.ndarray:
    """Return (2, n), clean and separated, of a voice in the mix that it was made for."""
    sung, band, rate = voice.read()
    return np.concatenate([mono(sung, rate), mono(vocals_of(separator, sung + band, rate), rate)])


def remix(voice: Voice, bands: Bands, separator: Separator, rng: np.random.Generator,
          pseudo: Pseudo = Pseudo()) -> np.ndarray:
    """Return (2, n), clean and separated, of an excerpt of a voice with the accompaniment of another."""
    sung, _, rate = voice.read()
    excerpt = mono(sung, rate, pseudo.speed)
    size = min(excerpt.shape[1], audio.to_samples(EXCERPT_S, RATE_HZ))
    start = int(rng.integers(excerpt.shape[1] - size + 1))
    excerpt = excerpt[:, start : start + size]
    if pseudo.formants != 1:
        excerpt = formant_shift(torch.from_numpy(excerpt), RATE_HZ, torch.tensor([pseudo.formants])).numpy()
    mix = with_accompaniment(excerpt, bands.take(voice, size, rng), rng.uniform(*REMIX_DB))
    return np.concatenate([excerpt, vocals_of(separator, mix, RATE_HZ).mean(0, keepdims=True)])


def plan(voices: Sequence[Voice], remixes: int, pseudo: int) -> Iterator[tuple[Voice, int, int, str]]:
    """Yield `(voice, number of its pseudo-singer, number of the remix, name)` of all files; 0: itself, its own mix."""
    for voice in voices:
        for number in range(0 if voice.band else 1, remixes + 1):
            yield voice, 0, number, f"{voice.name}{f'~{number}' if number else ''}"
        for other in range(1, pseudo + 1):
            yield voice, other, 1, f"{voice.group}/{voice.singer}+{other}/{voice.path.stem}~1"


def make(voices: Sequence[Voice], songs: Sequence[Path], out: Path, separator: Separator, remixes: int, pseudo: int,
         seed: int) -> Iterator[Path]:
    """Make all files that are not there yet and yield their paths."""
    bands = Bands(voices, songs, separator)
    if remixes and len(bands.sources) < 2:
        raise ValueError("remixes need accompaniments: at least two files in karaoke/, previews/ or songs/")
    for voice, other, number, name in plan(voices, remixes, pseudo):
        path = out / f"{name}.flac"
        if path.exists():
            continue
        rng = np.random.default_rng([seed, number, other, zlib.crc32(voice.name.encode())])
        singer = Pseudo.of(voice, other, seed)
        samples = remix(voice, bands, separator, rng, singer) if number else own_mix(voice, separator)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        loudest = max(1.0, float(np.abs(samples).max()))
        soundfile.write(part, samples.T / loudest, RATE_HZ, format="FLAC", subtype="PCM_24")
        part.replace(path)
        yield path


def main(argv: Sequence[str] | None = None) -> int:
    """Make the recordings of a folder."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.recordings", description=__doc__.split("\n\n")[0])
    parser.add_argument("audio", type=Path, help="folder of sets of voices")
    parser.add_argument("out", type=Path)
    parser.add_argument("--without", nargs="*", default=[], metavar="SINGER", help="left out, to be measured on")
    parser.add_argument("--remixes", type=int, default=5, help="of each voice")
    parser.add_argument("--pseudo", type=int, default=2, help="pseudo-singers made of each voice")
    parser.add_argument("--separator", default="spleeter")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    voices = find_voices(arguments.audio, arguments.without)
    songs = sorted(p for p in (arguments.audio / "songs").glob("*") if p.suffix.lower() in audio.AUDIO_SUFFIXES)
    separator = separators.load(arguments.separator)
    for path in make(voices, songs, arguments.out, separator, arguments.remixes, arguments.pseudo, arguments.seed):
        print(path, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
