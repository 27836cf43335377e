"""Clips to train on: a few synthetic singers in Parquet shards, and a voice to measure augmentations with."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from numpy.typing import NDArray

RATE = 16000


def sing(singer: int, rng: np.random.Generator, seconds: float, rate: int = RATE) -> NDArray[np.float32]:
    """Return harmonics of a drifting pitch, under formants that depend only on the singer."""
    time = np.arange(round(seconds * rate)) / rate
    pitch = 140 * 2 ** rng.uniform(0, 1) * (1 + 0.05 * np.sin(2 * np.pi * rng.uniform(0.5, 3) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    formants = np.array([400.0, 1000.0, 2400.0]) * (1 + 0.12 * singer)
    wave = np.zeros_like(time)
    for harmonic in range(1, 12):
        distance = (harmonic * pitch[:, None] - formants) / 150
        wave += (1 / (1 + distance**2)).sum(1) * np.sin(harmonic * phase)
    wave += 0.01 * rng.standard_normal(len(time))
    return (0.3 * wave / np.abs(wave).max()).astype(np.float32)


def flac(wave: NDArray[np.float32], rate: int = RATE) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, rate, format="FLAC")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def make_clips(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that writes shards: `tracks` tracks of `clips` clips, optionally with pairs."""

    def make(tracks: int = 8, clips: int = 4, seconds: float = 1.5, pairs: bool = False) -> Path:
        folder = tmp_path_factory.mktemp("clips")
        rng = np.random.default_rng(0)
        rows = []
        for track in range(tracks):
            for clip in range(clips):
                wave = sing(track, rng, seconds)
                row = {
                    "clip_id": f"track{track}-{clip}",
                    "track_id": f"track{track}",
                    "start_s": clip * seconds,
                    "end_s": (clip + 1) * seconds,
                    "sample_rate_hz": RATE,
                    "audio": flac(wave),
                }
                rows.append(row | ({"pair_audio": flac(-wave)} if pairs else {}))
        half = len(rows) // 2
        for i, part in enumerate((rows[:half], rows[half:])):
            pq.write_table(pa.Table.from_pylist(part), folder / f"part-{i}.parquet", row_group_size=5)
        (folder / "_config.yaml").write_text("not: a shard")
        return folder

    return make


@pytest.fixture(scope="session")
def clips(make_clips: Callable[..., Path]) -> Path:
    """Return a folder of 32 clips of 8 singers."""
    return make_clips()
