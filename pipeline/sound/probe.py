"""Describe a file. All of it is decoded, so that its length is that of the actual audio."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.sound.reading import Reading
from pipeline.sound.stretch import open_bytes
from pipeline.sound.tags import read_tags

MAX_BROKEN_FRACTION = 0.01  # of packets that may be undecodable without a note
MAX_OFF_FRACTION = 0.01  # of the length that the header states
PADDING_S = 0.1  # that lossy codecs add to a file, and a container may include in its length


@dataclass(frozen=True)
class Probe:
    """The description of a file.

    `track_id` is a 128-bit BLAKE2b hash of codec, rate, channels and the compressed audio itself, which stays the same
    if the file is moved, renamed or tagged again. `tags` has the file's artist, title and album, as far as there are
    any. `note` says what is unusual about the file.
    """

    track_id: str
    duration_s: float
    sample_rate_hz: int
    channels: int
    codec: str
    tags: dict[str, str]
    note: str | None


def probe(uri: str | Path, at_work: Callable[[], None] = lambda: None) -> Probe:
    """Read and decode a file, and return its description.

    Args:
        uri: of the file.
        at_work: called repeatedly during decoding.

    Raises:
        Problem: `empty`, `decode` or `too_short`.
        FileNotFoundError, PermissionError: the file does not exist, or may not be read.
    """
    reading = Reading(uri)
    for _ in reading.pieces():
        at_work()
    with contextlib.closing(open_bytes(uri)) as file:
        tags = read_tags(file, reading.tags)
    return Probe(
        reading.digest.hexdigest(),
        reading.read_s,
        reading.sample_rate_hz,
        reading.channels,
        reading.codec,
        tags,
        "; ".join(_notes(reading)) or None,
    )


def _notes(reading: Reading) -> list[str]:
    notes = list(reading.remarks)
    stated_s, padding_s = reading.promised_s, 0.0 if reading.is_lossless else PADDING_S
    if stated_s and abs(reading.read_s - stated_s) > MAX_OFF_FRACTION * stated_s + padding_s:
        notes.append(f"{reading.read_s:.1f} s of audio where its header says {stated_s:.1f} s")
    if reading.n_broken > MAX_BROKEN_FRACTION * reading.n_packets:
        notes.append(f"{reading.n_broken} of {reading.n_packets} packets cannot be decoded")
    if reading.n_bad:
        notes.append(f"{reading.n_bad} samples are NaN, infinite or beyond any level: set to 0")
    return notes
