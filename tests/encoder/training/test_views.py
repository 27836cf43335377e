"""Positives: where the two views of a clip come from, and who is known to be whom."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from encoder.config import ViewsConfig, chance
from encoder.training.data import ClipShards
from encoder.training.views import ViewLoader

RATE = 16000


def config(**settings: object) -> ViewsConfig:
    return ViewsConfig.model_validate({"crop_s": 0.5, **settings})


def test_two_crops_of_one_clip_do_not_overlap(clips: Path) -> None:
    shards = ClipShards.open(clips)
    loader = ViewLoader(shards, config(), RATE, seed=0)
    batch = loader.batch(0, 16)
    assert batch.waves.shape == (32, RATE // 2)
    for i, (number, _) in enumerate(loader.order.batch(0, 16)):
        whole = torch.from_numpy(shards.crop(number, 0, 100)[0])
        places = []
        for view in (batch.waves[i], batch.waves[16 + i]):
            heads = (whole.unfold(0, 32, 1)[: len(whole) - len(view) + 1] - view[:32]).abs().amax(1)
            place = int(heads.argmin())
            assert torch.equal(whole[place : place + len(view)], view)
            places.append(place)
        assert abs(places[0] - places[1]) >= RATE // 2 - 1


def test_batches_hang_on_position_and_seed_alone(clips: Path) -> None:
    shards = ClipShards.open(clips)
    first = ViewLoader(shards, config(), RATE, seed=5)
    first.batch(0, 8)
    again = ViewLoader(ClipShards.open(clips), config(), RATE, seed=5).batch(8, 8)
    assert torch.equal(first.batch(8, 8).waves, again.waves)


def test_ranks_share_one_batch(clips: Path) -> None:
    shards = ClipShards.open(clips)
    whole = ViewLoader(shards, config(), RATE, seed=0).batch(0, 8)
    halves = [ViewLoader(shards, config(), RATE, 0, None, rank, 2).batch(0, 8) for rank in range(2)]
    assert halves[0].clip_ids + halves[1].clip_ids == whole.clip_ids
    assert torch.equal(torch.cat([half.waves[:4] for half in halves]), whole.waves[:8])
    assert torch.equal(torch.cat([half.singers for half in halves]), whole.singers)


def test_clips_of_a_track_or_under_a_name_count_as_one_singer(clips: Path) -> None:
    shards = ClipShards.open(clips)
    by_track = ViewLoader(shards, config(), RATE, 0)
    assert len(set(by_track.singers)) == 8
    names = {f"track{i}": f"artist{i // 2}" for i in range(8)}
    by_name = ViewLoader(shards, config(), RATE, 0, names)
    assert len(set(by_name.singers)) == 4


def test_track_and_singer_positives_come_from_other_clips(clips: Path) -> None:
    shards = ClipShards.open(clips)
    rows = shards.rows
    for number, others in enumerate(ViewLoader(shards, config(positives="track"), RATE, 0).partners):
        assert all(rows[o].track_id == rows[number].track_id and o != number for o in others)
    names = {f"track{i}": f"artist{i // 2}" for i in range(8)}
    views = config(positives="singer", same_singer="artist")
    for number, others in enumerate(ViewLoader(shards, views, RATE, 0, names).partners):
        assert len(others) == 4
        assert all(rows[o].track_id != rows[number].track_id for o in others)


def test_pairs_are_read_from_their_column(make_clips: Callable[..., Path]) -> None:
    shards = ClipShards.open(make_clips(tracks=2, clips=2, pairs=True))
    loader = ViewLoader(shards, config(positives="pair", crop_s=1.5, overlap=True), RATE, 0)
    batch = loader.batch(0, 4)
    # The fixture's pair is the clip with its sign turned.
    assert torch.equal(batch.waves[:4], -batch.waves[4:])


def test_views_that_cannot_be_made_are_refused(clips: Path) -> None:
    shards = ClipShards.open(clips)
    with pytest.raises(ValueError, match="pair_audio"):
        ViewLoader(shards, config(positives="pair"), RATE, 0)
    with pytest.raises(ValueError, match="names"):
        ViewLoader(shards, config(positives="singer", same_singer="artist"), RATE, 0)
    with pytest.raises(ValueError, match="same_singer"):
        config(positives="singer")


def test_codec_changes_a_crop_but_not_much(clips: Path) -> None:
    shards = ClipShards.open(clips)
    plain = ViewLoader(shards, config(), RATE, 0).batch(0, 4).waves
    coded = ViewLoader(shards, config(), RATE, 0, codec=chance(1.0, 0.5, 0.9)).batch(0, 4).waves
    assert coded.shape == plain.shape
    difference = (coded - plain).square().mean() / plain.square().mean()
    assert 1e-7 < difference < 0.1
