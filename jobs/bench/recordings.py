"""Make the recordings that the shipped encoder was trained on: voices, mixed and then separated.

    python -m jobs.bench.recordings AUDIO OUT [--without SINGER ...] [--remixes 3] [--separator spleeter] [--seed 0]

AUDIO holds sets of voices: `karaoke/` and `previews/`, as `pipeline.evaluate.datasets` reads them, and any other set as
`<set>/<singer>` or `<set>/<singer>/<song>`, files with only a voice. OUT gets `<set>/<singer>/<song>.flac`, the song in
its own mix, and `<song>~1.flac` and so on, excerpts of it with another song's accompaniment. Each has two channels at
16 kHz, the clean voice and the separated one (`encoder.training.recipes.clips` reads them). Existing files are not made
again; a file is always made the same.
"""

import argparse
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import soundfile
import soxr

from pipeline import separators
from pipeline.evaluate import stems
from pipeline.evaluate.datasets import READERS
from pipeline.evaluate.stems import Stems
from pipeline.separators import Separator, vocals_of
from pipeline.sound import audio
from pipeline.sound.remix import REMIX_DB, with_accompaniment

RATE_HZ = 16000
ACCOMPANIED = ("karaoke", "previews")  # sets whose files contain the accompaniment too
EXCERPT_S = 60.0  # longest remix


@dataclass(frozen=True)
class Voice:
    """A file of a set, with its channels of the voice (if none, all are) and of the accompaniment."""

    path: Path
    group: str
    singer: str
    voice: tuple[int, ...] = ()
    accompaniment: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The name of the files made from it, without suffix."""
        return f"{self.group}/{self.singer}/{self.path.stem}"

    def read(self) -> Stems:
        """Return voice and accompaniment, (1 or 2, n) each."""
        return stems.read(self.path, self.voice, self.accompaniment)


def find_voices(folder: Path, without: Sequence[str] = ()) -> list[Voice]:
    """Return all voices of a folder of sets, without those of the named singers."""
    found = []
    for path in sorted(path for path in folder.glob("*/**/*") if path.suffix in (".flac", ".ogg", ".wav")):
        group, *inside = path.relative_to(folder).parts
        if group in ACCOMPANIED:
            part = READERS[group](PurePosixPath(*inside))
            if part is not None:
                found.append(Voice(path, group, part.singer, part.voice, part.accompaniment))
        elif group != "songs":
            found.append(Voice(path, group, path.stem if len(inside) == 1 else path.parent.name))
    return [voice for voice in found if voice.singer not in without]


def mono(samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Return samples (channels, n) mixed down and at `RATE_HZ`, (1, m) float32."""
    return soxr.resample(samples.mean(0), sample_rate_hz, RATE_HZ)[None].astype(np.float32)


def own_mix(voice: Voice, separator: Separator) -> np.ndarray:
    """Return (2, n), the clean voice and the voice separated from its own mix."""
    song = voice.read()
    rate = song.sample_rate_hz
    return np.concatenate([mono(song.voice, rate), mono(vocals_of(separator, song.mix, rate), rate)])


def remix(voice: Voice, accompanied: Sequence[Voice], separator: Separator, rng: np.random.Generator) -> np.ndarray:
    """Return (2, n), an excerpt of the clean voice, and the same separated from a mix with another accompaniment."""
    song = voice.read()
    excerpt = mono(song.voice, song.sample_rate_hz)
    size = min(excerpt.shape[1], audio.to_samples(EXCERPT_S, RATE_HZ))
    start = int(rng.integers(excerpt.shape[1] - size + 1))
    excerpt = excerpt[:, start : start + size]
    others = [other for other in accompanied if other.path != voice.path]
    other = others[rng.integers(len(others))].read()
    accompaniment = mono(other.accompaniment, other.sample_rate_hz)
    accompaniment = np.tile(accompaniment, -(-size // accompaniment.shape[1]) + 1)
    start = int(rng.integers(accompaniment.shape[1] - size + 1))
    mix = with_accompaniment(excerpt, accompaniment[:, start : start + size], rng.uniform(*REMIX_DB))
    return np.concatenate([excerpt, vocals_of(separator, mix, RATE_HZ).mean(0, keepdims=True)])


def make(voices: Sequence[Voice], out: Path, separator: Separator, remixes: int, seed: int) -> Iterator[Path]:
    """Make all files that do not exist yet, and yield their paths."""
    accompanied = [voice for voice in voices if voice.accompaniment]
    if remixes and len(accompanied) < 2:
        raise ValueError("remixes need accompaniments: at least two files in karaoke/ or previews/")
    for voice in voices:
        for number in range(0 if voice.accompaniment else 1, remixes + 1):
            path = out / f"{voice.name}{f'~{number}' if number else ''}.flac"
            if path.exists():
                continue
            rng = np.random.default_rng([seed, number, zlib.crc32(voice.name.encode())])
            samples = remix(voice, accompanied, separator, rng) if number else own_mix(voice, separator)
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            loudest = max(1.0, float(np.abs(samples).max()))
            soundfile.write(part, samples.T / loudest, RATE_HZ, format="FLAC", subtype="PCM_24")
            part.replace(path)
            yield path


def main(argv: Sequence[str] | None = None) -> int:
    """Make the recordings of a folder."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.recordings", description=__doc__.split("\n\n")[0])
    parser.add_argument("audio", type=Path, help="folder of sets of voices")
    parser.add_argument("out", type=Path)
    parser.add_argument("--without", nargs="*", default=[], metavar="SINGER", help="left out, to be measured on")
    parser.add_argument("--remixes", type=int, default=3, help="of each voice")
    parser.add_argument("--separator", default="spleeter")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    voices = find_voices(arguments.audio, arguments.without)
    separator = separators.load(arguments.separator)
    for path in make(voices, arguments.out, separator, arguments.remixes, arguments.seed):
        print(path, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
