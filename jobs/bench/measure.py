"""Measure a separator on recordings whose voice is known: the quality of its vocals, and how well it detects singing.

Folders: `karaoke/` and `previews/`, as `pipeline.evaluate.datasets` reads them, and `songs/<artist> - <title>.*` (whole
songs with vocals).
"""

import hashlib
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from jobs.bench.quality import si_sdr
from pipeline.evaluate import datasets, stems
from pipeline.evaluate.stems import Stems
from pipeline.separators.base import Separator, vocals_of
from pipeline.sound import audio
from pipeline.sound.activity import Meter


def recordings(folder: Path, name: str, every: int = 1) -> Iterator[tuple[str, Stems]]:
    """Yield the name and the stems of every `every`-th recording of `karaoke` or `previews`."""
    for found in datasets.read(name, folder / name)[::every]:
        yield found.name, stems.read(found.uri, found.voice, found.accompaniment)


def chose_the_rule(preview: str) -> bool:
    """Return whether the activity rule was chosen on a preview: its artist's SHA-256 begins with an even byte."""
    return hashlib.sha256(preview.split(" - ")[0].encode()).digest()[0] % 2 == 0


def sdr(voice: np.ndarray, accompaniment: np.ndarray, estimate: np.ndarray) -> float:
    """Return the SDR of BSS Eval v3 (Vincent et al. 2006) of an estimate of the voice, dB, as mir_eval computes it."""
    import mir_eval

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        found = mir_eval.separation.bss_eval_sources(
            np.stack([voice, accompaniment]),
            np.stack([estimate, voice + accompaniment - estimate]),
            compute_permutation=False,
        )
    return float(found[0][0])


def quality(separator: Separator, songs: Iterable[Stems]) -> np.ndarray:
    """Return (songs, 3) dB: SI-SDR of the mix, SI-SDR and SDR of the vocals; songs with a silent voice are left out."""
    found = []
    for song in songs:
        voice, accompaniment = song.voice.mean(0), song.accompaniment.mean(0)
        if voice.any():
            estimate = vocals_of(separator, song.mix, song.sample_rate_hz).mean(0)
            found.append(
                (si_sdr(voice + accompaniment, voice), si_sdr(estimate, voice), sdr(voice, accompaniment, estimate))
            )
    return np.array(found).reshape(-1, 3)


def has_vocals(separator: Separator, wave: np.ndarray, sample_rate_hz: int) -> bool:
    """Return whether the stage would find vocals in a mix."""
    meter = Meter(sample_rate_hz)
    meter.add_mix(wave.mean(0))
    meter.add_vocals(vocals_of(separator, wave, sample_rate_hz).mean(0))
    return meter.measure().has_vocals


def activity(separator: Separator, songs: Iterable[Stems]) -> tuple[np.ndarray, np.ndarray]:
    """Return for each song whether vocals were found in its mix, and whether in its accompaniment alone."""
    found = [
        (
            has_vocals(separator, song.mix, song.sample_rate_hz),
            has_vocals(separator, song.accompaniment, song.sample_rate_hz),
        )
        for song in songs
    ]
    mixes, accompaniments = np.array(found, bool).reshape(-1, 2).T
    return mixes, accompaniments


def whole_songs(separator: Separator, folder: Path) -> list[bool]:
    """Return for each whole song whether vocals were found."""
    found = []
    for path in sorted((folder / "songs").glob("* - *")):
        song = audio.read(path, separator.sample_rate_hz, separator.channels)
        found.append(has_vocals(separator, song.samples, song.sample_rate_hz))
    return found
