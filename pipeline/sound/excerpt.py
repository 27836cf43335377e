"""Excerpts: parts that stand for a whole track, where they are, and how to decode only them."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pipeline.sections import ExcerptsConfig
from pipeline.sound.reading import Piece, Reading
from pipeline.store.errors import Problem

GRID_S = 0.1  # excerpts begin and end on it, as do the frames of `activity` and of `clips`
PREROLL_S = 0.5  # decoded before an excerpt, which MP3, AAC, Vorbis and Opus need to settle
MISSING_S = 0.05  # of an excerpt, from which the packets' times cannot be trusted


class Excerpt(NamedTuple):
    """A part of a track, in seconds from its beginning; without `end_s` it reaches to the end."""

    start_s: float
    end_s: float | None


WHOLE = Excerpt(0.0, None)


def planned(duration_s: float | None, config: ExcerptsConfig | None) -> list[Excerpt]:
    """Return the excerpts of a track in order, each in the middle of an equal share of it; `WHOLE` for a short track.

    Args:
        duration_s: length of the track; None if it is unknown.
        config: number and length of excerpts; None for the whole track.
    """
    if config is None or duration_s is None or duration_s <= config.count * config.seconds:
        return [WHOLE]
    share_s = duration_s / config.count
    first_s = (share_s - config.seconds) / 2
    starts_s = (int((first_s + i * share_s) / GRID_S) * GRID_S for i in range(config.count))
    return [Excerpt(round(start_s, 1), round(start_s + config.seconds, 1)) for start_s in starts_s]


def heard(rows: list[dict[str, float]] | None) -> list[Excerpt]:
    """Return the excerpts in a row of `vocals/`."""
    return [Excerpt(**row) for row in rows] if rows else [WHOLE]


def pieces(uri: str | Path, excerpt: Excerpt, at_work: Callable[[], None]) -> Iterator[Piece]:
    """Decode an excerpt of a file, and little else if decoding can begin in the middle of the file.

    If that gives less audio than it should, the times of the file's packets are wrong, and the file is decoded from its
    beginning to the end of the excerpt.

    Args:
        uri: of the file.
        excerpt: to decode.
        at_work: called repeatedly during decoding.

    Returns:
        The pieces, which are all in memory if the excerpt was found by seeking.

    Raises:
        Problem, FileNotFoundError, PermissionError: as `Reading.pieces`.
    """
    assert excerpt.end_s is not None
    reading = Reading(uri, skip_s=excerpt.start_s - PREROLL_S)
    there = _between(reading, excerpt.start_s, excerpt.end_s, at_work)
    try:
        found = list(itertools.islice(there, 1))
        if not reading.has_passed:
            return itertools.chain(found, there)
        found += there
    except Problem:
        if not reading.has_passed:
            raise
        found = []
    length_s = sum(piece.samples.shape[1] / piece.sample_rate_hz for piece in found)
    if length_s > excerpt.end_s - excerpt.start_s - MISSING_S:
        return iter(found)
    return _between(Reading(uri), excerpt.start_s, excerpt.end_s, at_work)


def _between(reading: Reading, start_s: float, end_s: float, at_work: Callable[[], None]) -> Iterator[Piece]:
    """Yield the audio of a reading between two times of its file."""
    at_s: float | None = None
    with contextlib.closing(reading.pieces()) as there:
        for piece in there:
            at_work()
            at_s = reading.begins_s if at_s is None else at_s
            n, rate_hz = piece.samples.shape[1], piece.sample_rate_hz
            first, last = (min(max(round((place_s - at_s) * rate_hz), 0), n) for place_s in (start_s, end_s))
            if first < last:
                yield replace(piece, samples=piece.samples[:, first:last])
            at_s += n / rate_hz
            if at_s >= end_s:
                return
