"""Shard: cut the isolated vocals into voiced clips and pack them into Parquet files of about `shard_mb`.

A clip is the vocals with a share of the mix, `mix_share` (`pipeline.sound.remix` says why). With `pairs` it has a
second recording, `pair_audio`: its vocals remixed with the accompaniment of another track and separated again, from
which an encoder learns to ignore the music and the separator (`train.views.positives: pair`).

If only excerpts of a track were separated (`separate.excerpts`), each is cut by itself; times are those in the track.

A frame is voiced if it is within `range_db` of the track's loud singing (the 95th percentile of frame levels) and above
`floor_db`. Pauses of up to `pause_s` stay inside a clip; longer singing is cut at its quietest frame; a phrase that is
shorter than `min_s` is extended on both sides.
"""

import collections
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import separators
from pipeline.sections import SeparateConfig, ShardConfig
from pipeline.separators import vocals_of
from pipeline.sound import audio, remix
from pipeline.sound.audio import Audio
from pipeline.sound.excerpt import WHOLE, Excerpt, heard
from pipeline.sound.levels import Frames, near_the_loud
from pipeline.sound.vocals_file import vocals_name
from pipeline.store import shards, tables
from pipeline.store.errors import Problem
from pipeline.store.ledger import Ledger
from pipeline.store.spool import Copies, spooled
from pipeline.store.workspace import Workspace

FRAME_S = 0.1
REMOVED_AT_ONCE = 32


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


def pending(workspace: Workspace) -> tuple[pa.Table, int]:
    """Return the rows of `vocals/` without clips, and the number of those with clips.

    Columns: track_id, vocals_uri, excerpts, uri (of the mix), and the last three also of the track that it is remixed
    with: the next track by track_id with vocals, in a circle, so that pairs are the same in every run.
    """
    vocals = tables.read_arrow(workspace, "vocals", ["track_id", "vocals_uri", "excerpts", "has_vocals"])
    vocals = vocals.filter(vocals["has_vocals"]).drop_columns(["has_vocals"])
    tracks = tables.read_arrow(workspace, "tracks", ["track_id", "uri"])
    at = pc.index_in(vocals["track_id"], tracks["track_id"].combine_chunks())  # a join cannot handle nested columns
    rows = vocals.append_column("uri", tracks["uri"].take(at)).filter(pc.is_valid(at)).sort_by("track_id")
    after = rows.take(pa.array([*range(1, len(rows)), 0][: len(rows)], pa.int64()))
    for name in ("vocals_uri", "excerpts", "uri"):
        rows = rows.append_column(f"other_{name}", after[name])
    settled = set(shards.contents(workspace)["track_id"].to_pylist()) | tables.failed_keys(workspace, "shard")
    todo = rows.filter(pa.array([track_id not in settled for track_id in rows["track_id"].to_pylist()], pa.bool_()))
    return todo, len(rows) - len(todo)


def forget_vocals(workspace: Workspace) -> int:
    """Remove the vocals' audio of the tracks that have clips, and return the number of tracks.

    It must not be called while workers are running, since a repeated batch cuts its tracks again.
    """
    there = workspace.list_all("vocals_audio")
    cut = [vocals_name(track_id) for track_id in shards.contents(workspace)["track_id"].to_pylist()]
    gone = [name for name in cut if name in there]
    with ThreadPoolExecutor(REMOVED_AT_ONCE) as pool:
        for _ in pool.map(workspace.delete, gone):
            pass
    return len(gone)


class ShardWorker:
    """Cut tracks into clips and write the shards; all clips of a track are in one shard."""

    def __init__(self, workspace: str, config: ShardConfig, separate: SeparateConfig, seed: int = 0):
        self.workspace = Workspace(workspace)
        self.config, self.seed = config, seed
        self.separator = (
            separators.load(separate.separator, separators.best_device(), separate.precision) if config.pairs else None
        )

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Shard a batch of rows (see `pending`) and return their outcomes."""
        outcomes: list[pa.Table] = []
        ledger, n_bytes = Ledger(self.workspace, "shard", "clips"), 0
        for track, copies in spooled(ledger.survivors(batch.to_pylist(), "track_id"), self._files):
            with ledger.item(track["track_id"], track_id=track["track_id"], uri=track["vocals_uri"]) as outcome:
                rows = list(self._rows(track, copies))
                outcome["audio_s"] = sum(row["end_s"] - row["start_s"] for row in rows)
                ledger.rows += rows
                n_bytes += sum(len(row["audio"]) + len(row["pair_audio"] or b"") for row in rows)
            if n_bytes >= self.config.shard_mb * 1e6:
                outcomes.append(self._commit(ledger))
                ledger, n_bytes = ledger.following(), 0
        outcomes.append(self._commit(ledger))
        while (ledger := ledger.following()).is_left_over():  # later shards that a worker left when it died
            self._commit(ledger)
        return pa.concat_tables(outcomes)

    def _commit(self, ledger: Ledger) -> pa.Table:
        """Write a shard, and its rows of `shards/`."""
        outcomes = ledger.commit()
        counts = collections.Counter(row["track_id"] for row in ledger.rows)
        ledger.put(
            "shards",
            [
                {"track_id": track_id, "shard": f"part-{ledger.part}.parquet", "n_clips": n}
                for track_id, n in counts.items()
            ],
            ledger.part,
        )
        return outcomes

    def _files(self, track: dict[str, Any]) -> list[str]:
        """Return the files that a track's clips are made from."""
        return [
            track["vocals_uri"],
            *([track["uri"]] if self.config.mix_share else []),
            *([track["other_vocals_uri"], track["other_uri"]] if self.separator else []),
        ]

    def _rows(self, track: dict[str, Any], copies: Copies) -> Iterator[dict[str, Any]]:
        rate = self.config.sample_rate_hz
        other = (
            remix.Accompaniment(
                copies[track["other_vocals_uri"]], copies[track["other_uri"]], rate, heard(track["other_excerpts"])
            )
            if self.separator
            else None
        )
        mix = copies[track["uri"]] if self.config.mix_share else None
        for clip in cut_clips(copies[track["vocals_uri"]], mix, self.config, heard(track["excerpts"])):
            clip_id = f"{track['track_id']}-{round(clip.start_s * 10):06d}"
            pair = self._pair(clip_id, clip, other) if other else None
            yield {
                "clip_id": clip_id,
                "track_id": track["track_id"],
                "start_s": clip.start_s,
                "end_s": clip.end_s,
                "sample_rate_hz": rate,
                "audio": self._flac(clip.vocals, clip.mix),
                "pair_audio": pair,
            }

    def _pair(self, clip_id: str, clip: Clip, other: remix.Accompaniment) -> bytes:
        ratio_db = np.random.default_rng([self.seed, zlib.crc32(clip_id.encode())]).uniform(*remix.REMIX_DB)
        mix = remix.with_accompaniment(clip.vocals, other.take(clip.vocals.shape[1]), ratio_db)
        assert self.separator is not None
        return self._flac(vocals_of(self.separator, mix, self.config.sample_rate_hz).mean(0, keepdims=True), mix)

    def _flac(self, vocals: np.ndarray, mix: np.ndarray) -> bytes:
        share = np.float32(self.config.mix_share)
        return audio.flac_bytes(Audio((1 - share) * vocals + share * mix, self.config.sample_rate_hz))
