"""Positives: where the two views of a clip come from, and which clips count as one singer."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from encoder.training.config import ViewsConfig, chance
from encoder.training.data import ClipShards
from encoder.training.views import ViewDataset, at_speed

RATE = 16000


def config(**settings: object) -> ViewsConfig:
    return ViewsConfig.model_validate({"crop_s": 0.5, **settings})


def test_two_crops_of_one_clip_do_not_overlap(clips: Path) -> None:
    shards = ClipShards.open(clips)
    dataset = ViewDataset(shards, config(), RATE, 16, seed=0)
    batch = dataset[0]
    assert batch.waves.shape == (32, RATE // 2)
    for i, (number, _) in enumerate(dataset.order.batch(0, 16)):
        whole = torch.from_numpy(shards.crop(number, 0, 100)[0])
        places = []
        for view in (batch.waves[i], batch.waves[16 + i]):
            heads = (whole.unfold(0, 32, 1)[: len(whole) - len(view) + 1] - view[:32]).abs().amax(1)
            place = int(heads.argmin())
            assert torch.equal(whole[place : place + len(view)], view)
            places.append(place)
        assert abs(places[0] - places[1]) >= RATE // 2 - 1


def test_batches_depend_on_position_and_seed_alone(clips: Path) -> None:
    shards = ClipShards.open(clips)
    first = ViewDataset(shards, config(), RATE, 8, seed=5)
    assert first[0].clip_ids != first[1].clip_ids
    again = ViewDataset(ClipShards.open(clips), config(), RATE, 8, seed=5)[1]
    assert torch.equal(first[1].waves, again.waves)


def test_loading_ahead_in_processes_changes_nothing(clips: Path) -> None:
    dataset = ViewDataset(ClipShards.open(clips), config(), RATE, 8, seed=5)
    alone, ahead = list(dataset.loader(1, 4, workers=0)), list(dataset.loader(1, 4, workers=2))
    assert (
        [batch.clip_ids for batch in ahead]
        == [batch.clip_ids for batch in alone]
        == [dataset[n].clip_ids for n in (1, 2, 3)]
    )
    assert all(torch.equal(one.waves, other.waves) for one, other in zip(alone, ahead, strict=True))


def test_ranks_divide_one_batch(clips: Path) -> None:
    shards = ClipShards.open(clips)
    whole = ViewDataset(shards, config(), RATE, 8, seed=0)[0]
    halves = [ViewDataset(shards, config(), RATE, 8, 0, None, rank, 2)[0] for rank in range(2)]
    assert halves[0].clip_ids + halves[1].clip_ids == whole.clip_ids
    assert torch.equal(torch.cat([half.waves[:4] for half in halves]), whole.waves[:8])
    assert torch.equal(torch.cat([half.identities for half in halves]), whole.identities)


def test_clips_of_one_track_or_name_count_as_one_singer(clips: Path) -> None:
    shards = ClipShards.open(clips)
    by_track = ViewDataset(shards, config(), RATE, 4, 0)
    assert len(set(by_track.singers)) == 8
    names = {f"track{i}": f"artist{i // 2}" for i in range(8)}
    by_name = ViewDataset(shards, config(), RATE, 4, 0, names)
    assert len(set(by_name.singers)) == 4


def test_track_and_singer_positives_come_from_other_clips(clips: Path) -> None:
    shards = ClipShards.open(clips)
    rows = shards.rows
    for number, others in enumerate(ViewDataset(shards, config(positives="track"), RATE, 4, 0).partners):
        assert all(rows[o].track_id == rows[number].track_id and o != number for o in others)
    names = {f"track{i}": f"artist{i // 2}" for i in range(8)}
    views = config(positives="singer", same_singer="artist")
    for number, others in enumerate(ViewDataset(shards, views, RATE, 4, 0, names).partners):
        assert len(others) == 4
        assert all(rows[o].track_id != rows[number].track_id for o in others)


def test_pairs_are_read_from_their_column(make_clips: Callable[..., Path]) -> None:
    shards = ClipShards.open(make_clips(tracks=2, clips=2, pairs=True))
    batch = ViewDataset(shards, config(positives="pair", crop_s=1.5, overlap=True), RATE, 4, 0)[0]
    # The fixture's pair is the clip with its sign inverted.
    assert torch.equal(batch.waves[:4], -batch.waves[4:])


def test_views_that_cannot_be_made_are_refused(clips: Path) -> None:
    shards = ClipShards.open(clips)
    with pytest.raises(ValueError, match="pair_audio"):
        ViewDataset(shards, config(positives="pair"), RATE, 4, 0)
    with pytest.raises(ValueError, match="names"):
        ViewDataset(shards, config(positives="singer", same_singer="artist"), RATE, 4, 0)
    with pytest.raises(ValueError, match=r"pair_share .* shard\.pairs=true"):
        ViewDataset(shards, config(pair_share=0.1), RATE, 4, 0)
    with pytest.raises(ValueError, match="same_singer"):
        config(positives="singer")
    with pytest.raises(ValueError, match="speeds"):
        config(speeds=[1.0, 9.0])


def test_a_codec_changes_a_crop_a_little(clips: Path) -> None:
    shards = ClipShards.open(clips)
    plain = ViewDataset(shards, config(), RATE, 4, 0)[0].waves
    coded = ViewDataset(shards, config(), RATE, 4, 0, codec=chance(1.0, 0.5, 0.9))[0].waves
    assert coded.shape == plain.shape
    difference = (coded - plain).square().mean() / plain.square().mean()
    assert 1e-7 < difference < 0.1


def test_the_given_share_of_second_views_comes_from_the_pair(make_clips: Callable[..., Path]) -> None:
    shards = ClipShards.open(make_clips(tracks=4, clips=8, pairs=True))
    waves = ViewDataset(shards, config(pair_share=0.5, crop_s=1.5, overlap=True), RATE, 32, 0)[0].waves
    negated = (waves[:32] == -waves[32:]).all(1)
    assert 8 <= int(negated.sum()) <= 24
    assert torch.equal(waves[:32][~negated], waves[32:][~negated])


def test_a_clip_at_another_speed_is_another_singer(clips: Path) -> None:
    shards = ClipShards.open(clips)
    dataset = ViewDataset(shards, config(speeds=[1.0, 1.25]), RATE, 32, 0)
    batch = dataset[0]
    assert batch.lengths.tolist() == pytest.approx([RATE // 2] * 64, abs=2)
    for identity, (clip, _) in zip(batch.identities.tolist(), dataset.order.batch(0, 32), strict=True):
        assert identity // 2 == dataset.singers[clip]
    assert 8 <= int((batch.identities % 2).sum()) <= 24


def test_speed_changes_pitch_and_length() -> None:
    tone = torch.sin(2 * torch.pi * 400 * torch.arange(RATE) / RATE).numpy()
    faster = at_speed(tone, RATE, RATE, 1.25)
    spectrum = torch.fft.rfft(faster * torch.hann_window(len(faster))).abs()
    assert len(faster) == pytest.approx(RATE / 1.25, rel=0.002)
    assert float(spectrum.argmax()) * RATE / len(faster) == pytest.approx(500, abs=2)
