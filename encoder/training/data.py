"""Clips for training, streamed from Parquet shards.

A shard has one row per clip: `clip_id`, `track_id`, `start_s`, `end_s`, `sample_rate_hz`, `audio` (FLAC, mono), and, in
all rows or none, `pair_audio`: another recording of the same stretch of singing, such as the voice remixed with another
accompaniment and separated again. Instead of audio it may contain frames of a frozen trunk (`encoder.training.trunk`).

An epoch is a permutation of all clips, drawn from seed and epoch: row groups are shuffled, and the clips of every few
neighbouring row groups are mixed, so that only those few are in memory. Epochs follow each other without a break, and
batches are consecutive stretches of that endless order: each clip comes exactly once per epoch, and the position of a
training is a single number. Every rank takes its own equal part of every batch.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from numpy.typing import NDArray
from pyarrow import fs

INDEX_COLUMNS = ["clip_id", "track_id", "start_s", "end_s"]
FRAMES = np.lib.format.MAGIC_PREFIX  # that stored frames begin with
SHUFFLED_TOGETHER = 4  # row groups whose clips are mixed, and which are held in memory
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Row:
    """Where a clip is stored (shard, row group, row in that group), its ids and its length."""

    shard: str
    group: int
    row: int
    clip_id: str
    track_id: str
    duration_s: float


@dataclass
class ClipShards:
    """Random access to the clips of some shards by number, with a few row groups at a time in memory."""

    filesystem: fs.FileSystem
    rows: list[Row]
    has_pairs: bool = False
    _cache: OrderedDict[tuple[str, int], pa.Table] = field(default_factory=OrderedDict)

    @classmethod
    def open(cls, clips: str | Path | Sequence[str | Path], filesystem: fs.FileSystem | None = None) -> ClipShards:
        """Read the index of all clips.

        Args:
            clips: a folder of shards, or the shards themselves.
            filesystem: that `clips` are paths on; None: the local one.

        Raises:
            FileNotFoundError: there is no shard.
            ValueError: a file does not have the columns of a shard.
        """
        filesystem = filesystem or fs.LocalFileSystem()
        shards = find_shards(clips, filesystem)
        rows: list[Row] = []
        has_pairs = True
        for shard in shards:
            with filesystem.open_input_file(shard) as file:
                parquet = pq.ParquetFile(file)
                missing = {*INDEX_COLUMNS, "sample_rate_hz", "audio"} - set(parquet.schema_arrow.names)
                if missing:
                    raise ValueError(f"{shard} is not a shard of clips: no column {', '.join(sorted(missing))}")
                has_pairs &= pairs_in(parquet)
                for group in range(parquet.num_row_groups):
                    for i, row in enumerate(parquet.read_row_group(group, columns=INDEX_COLUMNS).to_pylist()):
                        duration_s = row["end_s"] - row["start_s"]
                        rows.append(Row(shard, group, i, row["clip_id"], row["track_id"], duration_s))
        return cls(filesystem, rows, has_pairs and bool(rows))

    def __len__(self) -> int:
        return len(self.rows)

    def subset(self, keep: Sequence[bool] | NDArray[np.bool_]) -> ClipShards:
        """Return the clips marked in `keep` (clips,) bool, in the same order."""
        rows = [row for row, kept in zip(self.rows, keep, strict=True) if kept]
        return ClipShards(self.filesystem, rows, self.has_pairs)

    def crop(self, number: int, start_share: float, crop_s: float, column: str = "audio") -> tuple[Floats, int]:
        """Decode a stretch of a clip.

        Args:
            number: of the clip.
            start_share: where the stretch begins, from 0 (at the beginning of the clip) to 1 (as late as possible).
            crop_s: its length in seconds; a shorter clip is returned whole.
            column: `audio` or `pair_audio`.

        Returns:
            Samples (n,) float32, or frames (n, channels), and the sample rate in Hz.
        """
        record = self._record(self.rows[number], [column, "sample_rate_hz"])
        if record[column].startswith(FRAMES):
            frames = np.load(io.BytesIO(record[column]), allow_pickle=False)
            wanted = max(1, round(min(1.0, crop_s / self.rows[number].duration_s) * len(frames)))
            start = round(start_share * (len(frames) - wanted))
            return frames[start : start + wanted].astype(np.float32), int(record["sample_rate_hz"])
        with soundfile.SoundFile(io.BytesIO(record[column])) as file:
            wanted = min(round(crop_s * file.samplerate), file.frames)
            file.seek(round(start_share * (file.frames - wanted)))
            return file.read(wanted, dtype="float32", always_2d=True).mean(1), int(file.samplerate)

    def _record(self, row: Row, columns: list[str]) -> dict[str, Any]:
        key = (row.shard, row.group)
        if key not in self._cache:
            with self.filesystem.open_input_file(row.shard) as file:
                names = ["sample_rate_hz", "audio", *(["pair_audio"] if self.has_pairs else [])]
                self._cache[key] = pq.ParquetFile(file).read_row_group(row.group, columns=names)
        self._cache.move_to_end(key)
        while len(self._cache) > 2 * SHUFFLED_TOGETHER:
            self._cache.popitem(last=False)
        table = self._cache[key]
        return {name: table[name][row.row].as_py() for name in columns}


def every_other(rows: Sequence[Row]) -> NDArray[np.bool_]:
    """Return which clips are the first, third, fifth, … of their track (clips,) bool, in the order of the shards."""
    seen: dict[tuple[str, str], int] = {}
    found = np.zeros(len(rows), dtype=bool)
    for number, row in enumerate(rows):
        place = seen.get((row.shard, row.track_id), 0)
        found[number], seen[row.shard, row.track_id] = place % 2 == 0, place + 1
    return found


def pairs_in(parquet: pq.ParquetFile) -> bool:
    """Return whether every clip of a shard has a `pair_audio`."""
    if "pair_audio" not in parquet.schema_arrow.names:
        return False
    column = parquet.schema_arrow.names.index("pair_audio")
    groups = (parquet.metadata.row_group(i) for i in range(parquet.num_row_groups))
    return all(group.column(column).statistics.null_count == 0 for group in groups)


def find_shards(clips: str | Path | Sequence[str | Path], filesystem: fs.FileSystem) -> list[str]:
    """Find the shards in a location; files whose names begin with `_` or `.` are skipped.

    Args:
        clips: a folder, or the shards themselves.
        filesystem: that they are paths on.

    Returns:
        Their paths in the order of their names.

    Raises:
        FileNotFoundError: there are none.
    """
    if isinstance(clips, str | Path):
        infos = filesystem.get_file_info(fs.FileSelector(str(clips), recursive=True, allow_not_found=True))
        shards = [i.path for i in infos if i.path.endswith(".parquet") and i.base_name[0] not in "_."]
    else:
        shards = [str(clip) for clip in clips]
    if not shards:
        raise FileNotFoundError(f"no shards of clips (*.parquet) in {clips}")
    return sorted(shards)


def epoch_order(rows: Sequence[Row], seed: int, epoch: int) -> NDArray[np.int64]:
    """Return a permutation (clips,) of the clips' numbers, drawn from seed and epoch."""
    rng = np.random.default_rng([seed, epoch])
    groups: dict[tuple[str, int], list[int]] = {}
    for number, row in enumerate(rows):
        groups.setdefault((row.shard, row.group), []).append(number)
    shuffled = list(groups.values())
    rng.shuffle(shuffled)
    windows = range(0, len(shuffled), SHUFFLED_TOGETHER)
    return np.concatenate(
        [rng.permutation(np.concatenate(shuffled[w : w + SHUFFLED_TOGETHER])) for w in windows]
    ).astype(np.int64)


class ClipOrder:
    """The endless order of clips, and this rank's part of each batch.

    Raises:
        ValueError: there are no clips.
    """

    def __init__(self, rows: Sequence[Row], seed: int, rank: int = 0, world_size: int = 1) -> None:
        if not rows:
            raise ValueError("no clips to train on")
        self.rows, self.seed, self.rank, self.world_size = rows, seed, rank, world_size
        self._epochs: dict[int, NDArray[np.int64]] = {}

    def batch(self, position: int, size: int) -> list[tuple[int, int]]:
        """Return this rank's part of the batch of `size` clips that begins at `position`: (clip number, position) each.

        Raises:
            ValueError: the ranks would not get equal parts.
        """
        if size % self.world_size:
            raise ValueError(f"a batch of {size} clips cannot be divided among {self.world_size} workers equally")
        part = size // self.world_size
        first = position + self.rank * part
        return [(int(self._order(p // len(self.rows))[p % len(self.rows)]), p) for p in range(first, first + part)]

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._epochs:
            self._epochs = {e: order for e, order in self._epochs.items() if e >= epoch - 1}
            self._epochs[epoch] = epoch_order(self.rows, self.seed, epoch)
        return self._epochs[epoch]
