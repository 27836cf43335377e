"""Shard: cut the isolated vocals into voiced clips and pack them into Parquet files of about `shard_mb`.

A clip is the vocals with a share of the mix, `mix_share` (`pipeline.sound.remix` says why). With `pairs` it has a
second recording, `pair_audio`: its vocals remixed with the accompaniment of another track and separated again, from
which an encoder learns to ignore the music and the separator (`train.views.positives: pair`).

If only excerpts of a track were separated (`separate.excerpts`), each is cut by itself; times are those in the track.

`pipeline.sound.clips` says where clips begin and end.
"""

import collections
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import separators
from pipeline.sections import SeparateConfig, ShardConfig
from pipeline.sound import audio, remix
from pipeline.sound.audio import Audio
from pipeline.sound.clips import Clip, cut_clips
from pipeline.sound.excerpt import heard
from pipeline.sound.vocals_file import vocals_name
from pipeline.store import shards, tables
from pipeline.store.ledger import Ledger
from pipeline.store.spool import Copies, spooled
from pipeline.store.workspace import Workspace

REMOVED_AT_ONCE = 32


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
    names = [vocals_name(track_id) for track_id in shards.contents(workspace)["track_id"].to_pylist()]
    gone = [name for name in names if name in there]
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
        vocals = separators.vocals_of(self.separator, mix, self.config.sample_rate_hz)
        return self._flac(vocals.mean(0, keepdims=True), mix)

    def _flac(self, vocals: np.ndarray, mix: np.ndarray) -> bytes:
        share = np.float32(self.config.mix_share)
        return audio.flac_bytes(Audio((1 - share) * vocals + share * mix, self.config.sample_rate_hz))
