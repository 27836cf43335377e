"""Audio in and out: the only resampler, the only FLAC writer, the only conversion of seconds to samples.

Waveforms are float32, (channels, samples), with full scale at 1, and always go with their sample rate. Decoding
(`pipeline.sound.reading`) and resampling (soxr) work block by block.
"""

import io
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile
import soxr

from pipeline.sound.excerpt import WHOLE, Excerpt
from pipeline.sound.excerpt import pieces as excerpt_pieces
from pipeline.sound.mixdown import as_they_are, mixed_down
from pipeline.sound.reading import Piece, Reading
from pipeline.store.errors import Problem

BLOCK_S = 10.0


@dataclass(frozen=True)
class Audio:
    """A waveform and its rate: `samples` is (channels, n) float32."""

    samples: np.ndarray
    sample_rate_hz: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples.shape[1] / self.sample_rate_hz


def to_samples(seconds: float, sample_rate_hz: int) -> int:
    """Return the number of samples in a time, rounded to the nearest."""
    return round(seconds * sample_rate_hz)


def blocks(
    uri: str | Path,
    sample_rate_hz: int,
    channels: int | None,
    block_s: float = BLOCK_S,
    excerpt: Excerpt = WHOLE,
    at_work: Callable[[], None] = lambda: None,
) -> Iterator[np.ndarray]:
    """Decode a file of any format and length into blocks at a given rate, in the memory of a few blocks.

    Damaged packets are skipped and single damaged samples become 0; a file that is mostly damaged is a `Problem`.

    Args:
        uri: of the file.
        sample_rate_hz: of the blocks.
        channels: 1 or 2, mixed down by `pipeline.sound.mixdown`; None for the file's own channels.
        block_s: length of each block but the last.
        excerpt: the part to decode; if it was found by seeking, it is in memory as a whole.
        at_work: called repeatedly while an excerpt is being looked for.

    Yields:
        (channels, n) float32.

    Raises:
        Problem: `empty`, `decode`, or `too_short` if the file has no samples.
        FileNotFoundError, PermissionError: the file does not exist, or may not be read.
    """
    want = to_samples(block_s, sample_rate_hz)
    held: list[np.ndarray] = []
    n_held = n = 0
    pieces = Reading(uri).pieces() if excerpt.end_s is None else excerpt_pieces(uri, excerpt, at_work)
    for piece in _resampled(pieces, sample_rate_hz, channels):
        held.append(piece)
        n_held += piece.shape[1]
        n += piece.shape[1]
        if n_held >= want:
            joined = np.concatenate(held, axis=1)
            for start in range(0, n_held - want + 1, want):
                yield joined[:, start : start + want]
            held = [joined[:, n_held // want * want :]]
            n_held = held[0].shape[1]
    if n_held:
        yield np.concatenate(held, axis=1)
    if not n:
        raise Problem("too_short", f"it is shorter than one sample at {sample_rate_hz} Hz")


def read(uri: str | Path, sample_rate_hz: int, channels: int | None) -> Audio:
    """Decode a whole file; it raises what `blocks` raises. Only for clips and tests, not for long tracks."""
    return Audio(np.concatenate(list(blocks(uri, sample_rate_hz, channels)), axis=1), sample_rate_hz)


def _resampled(pieces: Iterable[Piece], sample_rate_hz: int, channels: int | None) -> Iterator[np.ndarray]:
    """Yield a file's audio at the given rate, with a new resampler wherever the file's own rate changes."""
    windows = mixed_down(pieces, channels) if channels else as_they_are(pieces)
    for rate_hz, alike in itertools.groupby(windows, key=operator.itemgetter(1)):
        resampler: soxr.ResampleStream | None = None
        for samples, _ in alike:
            if rate_hz == sample_rate_hz:
                yield samples
                continue
            resampler = resampler or soxr.ResampleStream(rate_hz, sample_rate_hz, len(samples), dtype="float32")
            yield resampler.resample_chunk(samples.T).T
        if resampler:
            yield resampler.resample_chunk(np.zeros((0, len(samples)), np.float32), last=True).T


def flac_bytes(audio: Audio) -> bytes:
    """Encode a clip as 16-bit FLAC."""
    sink = io.BytesIO()
    soundfile.write(sink, audio.samples.T, audio.sample_rate_hz, format="FLAC", subtype="PCM_16")
    return sink.getvalue()


def from_flac(data: bytes) -> Audio:
    """Decode a clip's FLAC bytes."""
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return Audio(np.ascontiguousarray(samples.T), rate)


class FlacWriter:
    """Write a local 16-bit FLAC file block by block."""

    def __init__(self, path: str | Path, sample_rate_hz: int, channels: int):
        self.file = soundfile.SoundFile(str(path), "w", sample_rate_hz, channels, format="FLAC", subtype="PCM_16")

    def write(self, block: np.ndarray) -> None:
        """Append a block, (channels, n) float32."""
        self.file.write(block.T)

    def __enter__(self) -> "FlacWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()
