"""The recipe's clips hold the separated voice and the clean one, wherever there is a voice."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from encoder.training.data import ClipShards
from encoder.training.recipes.clips import CLIP_S, write_clips

RATE = 16000


def write(path: Path, channels: list[np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.stack(channels, axis=1), RATE)


def test_clips_hold_both_recordings_of_voiced_stretches(tmp_path: Path) -> None:
    size = round(CLIP_S * RATE)
    voice = 0.3 * np.sin(2 * np.pi * 220 * np.arange(3 * size) / RATE)
    voice[size : 2 * size] = 0
    for name in ("karaoke/amy/01", "karaoke/amy/01~2", "speech/84/84"):
        write(tmp_path / "recordings" / f"{name}.flac", [voice, 0.5 * voice])
    names = write_clips(tmp_path / "recordings", tmp_path / "clips")
    assert names == {"karaoke/amy/01": "karaoke/amy", "speech/84/84": "speech/84"}
    shards = ClipShards.open(tmp_path / "clips")
    assert shards.has_pairs
    # The middle stretch of each recording is silent.
    assert [row.clip_id for row in shards.rows] == [
        "karaoke/amy/01-0", "karaoke/amy/01-2", "karaoke/amy/01~2-0", "karaoke/amy/01~2-2", "speech/84/84-0",
        "speech/84/84-2"]  # fmt: skip
    assert {row.track_id for row in shards.rows[:4]} == {"karaoke/amy/01"}
    separated, rate = shards.crop(1, 0.0, 1.0, "audio")
    clean, _ = shards.crop(1, 0.0, 1.0, "pair_audio")
    assert rate == RATE
    np.testing.assert_allclose(clean, voice[2 * size : 2 * size + RATE], atol=1e-4)
    np.testing.assert_allclose(separated, 0.5 * clean, atol=1e-4)


def test_a_recording_shorter_than_a_clip_becomes_one_clip(tmp_path: Path) -> None:
    write(
        tmp_path / "recordings" / "speech" / "1" / "1.flac", [0.1 * np.random.default_rng(0).standard_normal(RATE)] * 2
    )
    write_clips(tmp_path / "recordings", tmp_path / "clips")
    assert [row.duration_s for row in ClipShards.open(tmp_path / "clips").rows] == [1.0]


def test_a_folder_without_usable_recordings_gives_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"jobs\.bench\.recordings"):
        write_clips(tmp_path, tmp_path / "clips")
    write(tmp_path / "speech" / "1" / "1.flac", [np.zeros(RATE)])
    with pytest.raises(ValueError, match="1 channels"):
        write_clips(tmp_path, tmp_path / "clips")
