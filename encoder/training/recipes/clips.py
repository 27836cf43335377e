"""Clips of separated voices beside the clean ones, for the recipe of the shipped weights.

Recordings are `<set>/<singer>/<song>.flac` of two channels: the clean voice, and the same voice as a separator
extracted it from a mix. Further mixes of a song are `<song>~1.flac` and so on (`jobs.bench.recordings` makes all of
them). A clip's `audio` is the separated voice, its `pair_audio` the clean one; a track is a song of a singer.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from numpy.typing import NDArray

CLIP_S = 6.0
BLOCK_S = 0.05
VOICED = 0.4  # share of a clip's blocks in which there must be voice
ROW_GROUP = 16  # clips


def write_clips(recordings: Path, out: Path) -> dict[str, str]:
    """Write one shard for each set of recordings.

    Args:
        recordings: folder of the recordings.
        out: folder for the shards.

    Returns:
        Singer by track_id.

    Raises:
        FileNotFoundError: there are no recordings.
        ValueError: one of them does not have two channels.
    """
    names: dict[str, str] = {}
    out.mkdir(parents=True, exist_ok=True)
    for folder in sorted(path for path in recordings.iterdir() if path.is_dir()):
        rows = [row for path in sorted(folder.glob("*/*.flac")) for row in clips_of(path)]
        if rows:
            pq.write_table(pa.Table.from_pylist(rows), out / f"{folder.name}.parquet", row_group_size=ROW_GROUP)
        names |= {row["track_id"]: row["track_id"].rpartition("/")[0] for row in rows}
    if not names:
        raise FileNotFoundError(f"no voices in {recordings}: jobs.bench.recordings makes <set>/<singer>/<song>.flac")
    return names


def clips_of(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of the clips of a recording: consecutive stretches with enough voice in them.

    Raises:
        ValueError: it does not have two channels.
    """
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if samples.shape[1] != 2:
        raise ValueError(
            f"{path} has {samples.shape[1]} channels instead of two, the clean voice and the separated one"
        )
    group, singer, song = (*path.parts[-3:-1], path.stem.split("~")[0])
    size = round(CLIP_S * rate)
    loudest = float(levels(samples[:, 0], rate).max(initial=0.0))
    for start in range(0, max(1, len(samples) - size // 2), size):
        piece = samples[start : start + size]
        if (levels(piece[:, 0], rate) > max(0.05 * loudest, 3e-4)).mean() < VOICED:
            continue
        yield {
            "clip_id": f"{group}/{singer}/{path.stem}-{start // size}",
            "track_id": f"{group}/{singer}/{song}",
            "start_s": start / rate,
            "end_s": (start + len(piece)) / rate,
            "sample_rate_hz": rate,
            "audio": flac(piece[:, 1], rate),
            "pair_audio": flac(piece[:, 0], rate),
        }


def levels(wave: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Return the root mean square of each block of BLOCK_S of `wave` (samples,), at least of one."""
    size = min(round(BLOCK_S * rate), max(1, len(wave)))
    return np.sqrt(np.square(wave[: len(wave) // size * size].reshape(-1, size)).mean(1))


def flac(wave: NDArray[np.float32], rate: int) -> bytes:
    """Encode `wave` (samples,) as FLAC."""
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, rate, format="FLAC")
    return buffer.getvalue()
