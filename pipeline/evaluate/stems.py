"""A recording's voice and accompaniment, from the channels in which its data set stores them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.store.errors import Problem

Wave = NDArray[np.floating]  # one mono waveform, (samples,)


@dataclass(frozen=True)
class Stems:
    """`voice` and `accompaniment`, (channels, n) float32 each; zeros where there is no accompaniment."""

    voice: np.ndarray
    accompaniment: np.ndarray
    sample_rate_hz: int

    @property
    def mix(self) -> np.ndarray:
        """The sum of both, (channels, n) float32: the input of a separator."""
        return self.voice + self.accompaniment


def split(samples: np.ndarray, voice: Sequence[int], accompaniment: Sequence[int], sample_rate_hz: int) -> Stems:
    """Return the stems of a file's samples (channels, n).

    Args:
        samples: all channels of the file.
        voice: the channels with the voice; empty for all.
        accompaniment: the channels with the accompaniment.
        sample_rate_hz: of the samples.

    Raises:
        Problem: the file does not have the channels that its set should have (`channels`).
    """
    if not voice:
        return Stems(samples, np.zeros_like(samples), sample_rate_hz)
    wanted = max(*voice, *accompaniment) + 1 if accompaniment else max(voice) + 1
    if wanted != len(samples):
        raise Problem("channels", f"it has {len(samples)} channels where {wanted} are expected")
    return Stems(samples[list(voice)], samples[list(accompaniment)], sample_rate_hz)


def read(path: str | Path, voice: Sequence[int], accompaniment: Sequence[int]) -> Stems:
    """Return the stems of a local file at its own rate; see `split`."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return split(samples.T, voice, accompaniment, rate)
