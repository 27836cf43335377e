"""Clips: where in a track's vocals they begin and end, and their samples.

A frame is voiced if it is within `range_db` of the track's loud singing (the 95th percentile of frame levels) and above
`floor_db`. Pauses of up to `pause_s` stay inside a clip; longer singing is cut at its quietest frame; a phrase that is
shorter than `min_s` is extended on both sides.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.sections import ShardConfig
from pipeline.sound import audio, remix
from pipeline.sound.excerpt import WHOLE, Excerpt
from pipeline.sound.levels import Frames, near_the_loud
from pipeline.store.errors import Problem

FRAME_S = 0.1


def voiced_stretches(levels_db: np.ndarray, voiced: np.ndarray, config: ShardConfig) -> list[tuple[int, int]]:
    """Return the clips of an excerpt as `(first, last + 1)` frames of `FRAME_S`, in order, none overlapping.

    Args:
        levels_db: (frames,) RMS levels, dB full scale.
        voiced: (frames,) bool, from `levels.near_the_loud` for the whole track.
        config: lengths of clips, phrases and pauses.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], voiced, [False]]).astype(np.int8)))
    phrases = [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]
    pause, shortest = round(config.pause_s / FRAME_S), round(config.min_s / FRAME_S)
    stretches: list[tuple[int, int]] = []
    for first, last in phrases:
        if stretches and first - stretches[-1][1] <= pause:
            stretches[-1] = (stretches[-1][0], last)
        else:
            stretches.append((first, last))
    clips: list[tuple[int, int]] = []
    for i, (first, last) in enumerate(stretches):
        if last - first < round(config.phrase_s / FRAME_S):
            continue
        before = clips[-1][1] if clips else 0
        after = stretches[i + 1][0] if i + 1 < len(stretches) else len(levels_db)
        first, last = _widened(first, last, before, after, shortest)
        if last - first >= shortest:
            clips += _cut(levels_db, first, last, config)
    return clips


def _widened(first: int, last: int, before: int, after: int, shortest: int) -> tuple[int, int]:
    """Extend a stretch evenly to the shortest length, as far as its neighbours leave room."""
    missing = max(0, shortest - (last - first))
    left = min(missing // 2, first - before)
    right = min(missing - left, after - last)
    left = min(missing - right, first - before)
    return first - left, last + right


def _cut(levels_db: np.ndarray, first: int, last: int, config: ShardConfig) -> Iterator[tuple[int, int]]:
    """Cut a long stretch at its quietest frames into pieces between the shortest and the longest length."""
    shortest, longest = round(config.min_s / FRAME_S), round(config.max_s / FRAME_S)
    while last - first > longest:
        low, high = first + shortest, min(first + longest, last - shortest)
        at = low + int(np.argmin(levels_db[low : high + 1]))
        yield first, at
        first = at
    yield first, last


@dataclass(frozen=True)
class Clip:
    """A clip to be written: its seconds in the track, its isolated vocals (1, n), and its mix (1, n)."""

    start_s: float
    end_s: float
    vocals: np.ndarray
    mix: np.ndarray


def cut_clips(
    vocals_uri: str, mix_uri: str | None, config: ShardConfig, excerpts: Sequence[Excerpt] = (WHOLE,)
) -> Iterator[Clip]:
    """Yield a track's clips in bounded memory, reading the vocals twice and the mix, if one is given, once.

    Raises:
        Problem: `decode` if a file cannot be read, `too_short` if no stretch is long enough.
    """
    levels = [_levels(vocals_uri, excerpt, config.sample_rate_hz) for excerpt in excerpts]
    voiced = near_the_loud(np.concatenate(levels), config.range_db, config.floor_db)
    ends = np.cumsum([len(each) for each in levels])[:-1]
    stretches = [voiced_stretches(each, its, config) for each, its in zip(levels, np.split(voiced, ends), strict=True)]
    if not any(stretches):
        raise Problem(
            "too_short",
            f"no stretch of singing is {config.phrase_s:g} s long with room for a clip of {config.min_s:g} s",
        )
    for excerpt, found in zip(excerpts, stretches, strict=True):
        yield from _clips(remix.beside(vocals_uri, mix_uri, config.sample_rate_hz, excerpt), excerpt, found, config)


def _levels(uri: str, excerpt: Excerpt, rate: int) -> np.ndarray:
    """Return the levels (frames,) of an excerpt's vocals in dB."""
    frames = Frames(audio.to_samples(FRAME_S, rate))
    for block in audio.blocks(uri, rate, 1, excerpt=excerpt):
        frames.add(block[0])
    return frames.levels_db()


def _clips(
    source: Iterator[np.ndarray], excerpt: Excerpt, stretches: list[tuple[int, int]], config: ShardConfig
) -> Iterator[Clip]:
    """Yield the clips of an excerpt, whose vocals and mix are read block by block."""
    rate = config.sample_rate_hz
    frame = audio.to_samples(FRAME_S, rate)
    held, offset = np.zeros((2, 0), np.float32), 0
    for first, last in stretches:
        start, end = first * frame, last * frame
        for block in source if offset + held.shape[1] < end else ():
            held = np.concatenate([held, block], axis=1)
            surplus = min(start - offset, held.shape[1])
            if surplus > 0:
                held, offset = held[:, surplus:], offset + surplus
            if offset + held.shape[1] >= end:
                break
        both = held[:, start - offset : end - offset]
        start_s = excerpt.start_s + start / rate
        yield Clip(start_s, start_s + both.shape[1] / rate, both[:1], both[1:])
