"""The order of clips: each once per epoch, each on one rank, and the same from any position on."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from encoder.training.data import SHUFFLED_TOGETHER, ClipOrder, ClipShards, Row, every_other

CLIPS = 32


def test_each_clip_comes_once_per_epoch_and_on_one_rank_only(clips: Path) -> None:
    rows = ClipShards.open(clips).rows
    assert len(rows) == CLIPS
    orders = [ClipOrder(rows, seed=3, rank=rank, world_size=2) for rank in range(2)]
    seen: list[list[int]] = [[], []]
    for position in range(0, 3 * CLIPS, 8):
        parts = [[number for number, _ in order.batch(position, 8)] for order in orders]
        assert not set(parts[0]) & set(parts[1])
        for rank in range(2):
            seen[rank] += parts[rank]
    both = [n for step in range(12) for rank in range(2) for n in seen[rank][4 * step : 4 * step + 4]]
    for epoch in range(3):
        assert Counter(both[epoch * CLIPS : (epoch + 1) * CLIPS]) == Counter(range(CLIPS))
    assert both[:CLIPS] != both[CLIPS : 2 * CLIPS]


def test_a_batch_may_cross_the_end_of_an_epoch(clips: Path) -> None:
    order = ClipOrder(ClipShards.open(clips).rows, seed=0)
    numbers = [number for position in range(0, 60, 6) for number, _ in order.batch(position, 6)]
    assert Counter(numbers[:CLIPS]) == Counter(range(CLIPS))
    assert len(set(numbers[CLIPS:])) == 60 - CLIPS


def test_the_order_depends_on_seed_and_position_alone(clips: Path) -> None:
    rows = ClipShards.open(clips).rows
    went_through = ClipOrder(rows, seed=1)
    for position in range(0, 96, 8):
        last = went_through.batch(position, 8)
    assert ClipOrder(rows, seed=1).batch(88, 8) == last
    assert ClipOrder(rows, seed=2).batch(88, 8) != last


def test_only_a_few_row_groups_are_in_memory(clips: Path) -> None:
    shards = ClipShards.open(clips)
    order = ClipOrder(shards.rows, seed=0)
    for number, _ in order.batch(0, CLIPS):
        shards.crop(number, 0.5, 0.5)
        assert len(shards._cache) <= 2 * SHUFFLED_TOGETHER


def test_crops_are_cut_at_the_given_place(make_clips: Callable[..., Path]) -> None:
    shards = ClipShards.open(make_clips(tracks=2, clips=2))
    whole, rate = shards.crop(1, 0.0, 100.0)
    assert (len(whole), rate) == (24000, 16000)
    end, _ = shards.crop(1, 1.0, 0.5)
    middle, _ = shards.crop(1, 0.5, 0.5)
    assert np.array_equal(end, whole[-8000:])
    assert np.array_equal(middle, whole[8000:16000])


def test_a_folder_without_usable_shards_gives_a_clear_error(tmp_path: Path, clips: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no shards"):
        ClipShards.open(tmp_path)
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"clip_id": ["a"], "track_id": ["b"]}), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="no column audio, end_s, sample_rate_hz, start_s"):
        ClipShards.open(tmp_path)
    with pytest.raises(ValueError, match="cannot be divided among 2 workers"):
        ClipOrder(ClipShards.open(clips).rows, 0, world_size=2).batch(0, 5)


def test_every_other_clip_of_each_track_is_chosen() -> None:
    tracks = ["a", "b", "a", "a", "b", "c"]
    rows = [Row("shard", 0, i, str(i), track, 1.0) for i, track in enumerate(tracks)]
    assert every_other(rows).tolist() == [True, True, False, True, False, True]
