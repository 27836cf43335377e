"""The measures that are logged during training."""

from pathlib import Path

import numpy as np
import pytest
import torch

from encoder import Encoder
from encoder.config import preset
from encoder.training.data import ClipShards
from encoder.training.validation import (
    effective_rank,
    embedding_std,
    held_out,
    trials_error_rate,
    validate,
)


def test_trials_are_across_tracks_if_a_singer_has_several() -> None:
    vectors = torch.eye(4)[[0, 0, 1, 2, 2, 3]]
    singers, tracks = ["a"] * 3 + ["b"] * 3, ["1", "1", "2", "3", "3", "4"]
    # Crops of one track are all alike and those of different tracks are not: only the latter may count.
    assert trials_error_rate(vectors, singers, tracks) == pytest.approx(0.5)
    assert trials_error_rate(vectors[[0, 1, 3, 4]], ["a", "a", "b", "b"], ["1", "1", "2", "2"]) == 0


def test_standard_deviation_and_rank_tell_a_sphere_from_a_point() -> None:
    sphere = torch.nn.functional.normalize(torch.randn(2000, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    assert embedding_std(sphere) == pytest.approx(1, abs=0.02)
    assert effective_rank(sphere) == pytest.approx(16, abs=0.2)
    point = sphere[:1].repeat(100, 1)
    assert embedding_std(point) == pytest.approx(0, abs=1e-6)
    line = torch.outer(torch.linspace(-1, 1, 50), sphere[0])
    assert effective_rank(line) == pytest.approx(1, abs=1e-3)


def test_whole_singers_are_held_out_and_always_the_same_ones() -> None:
    singers = [f"singer{i % 20}" for i in range(100)]
    out = held_out(singers, 0.2)
    assert out.sum() == 20
    assert {s for s, o in zip(singers, out, strict=True) if o}.isdisjoint(
        s for s, o in zip(singers, out, strict=True) if not o
    )
    assert {s for s, o in zip(singers[::-1], held_out(singers[::-1], 0.2), strict=True) if o} == {
        s for s, o in zip(singers, out, strict=True) if o
    }
    assert not held_out(["a", "b", "c"], 0.5).any()


def test_validation_measures_an_encoder(clips: Path) -> None:
    torch.manual_seed(0)
    encoder = Encoder(preset("tiny")).train()
    shards = ClipShards.open(clips).subset(np.arange(32) < 8)
    measured = validate(encoder, shards, [row.track_id for row in shards.rows], crop_s=0.5)
    assert encoder.training
    assert 0 <= measured["held_out_eer"] <= 1
    assert measured["embedding_std"] > 0
    assert 1 <= measured["effective_rank"] <= 16
