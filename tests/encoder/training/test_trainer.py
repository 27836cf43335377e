"""A training step stops when it must, leaves frozen parameters unchanged, and is the same on several workers."""

import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
import torch.multiprocessing

from encoder import Encoder, checkpoint
from encoder.config import preset
from encoder.training import finish
from encoder.training.config import NO_AUGMENT, TrainConfig
from encoder.training.data import ClipShards, every_other
from encoder.training.learner import Learner
from encoder.training.trainer import Trainer, TrainingStopped, check_finite, start_encoder

CPU = torch.device("cpu")
Steps = dict[str, dict[str, Any]]  # by recipe


def make(**settings: Any) -> TrainConfig:
    fast = {"size": "tiny", "init": None, "batch": 8, "warmup": 2, "precision": "float32", "steps": 4, "held_out": 0.25}
    return TrainConfig.model_validate(fast | {"views": {"crop_s": 0.5}, "augment": NO_AUGMENT} | settings)


def trainer_of(config: TrainConfig, clips: Path) -> Trainer:
    return Trainer(config, ClipShards.open(clips), None, 0, 1, CPU)


def test_a_loss_that_is_not_finite_stops_the_training_before_any_weight_changes(clips: Path) -> None:
    trainer = trainer_of(make(), clips)
    batch = trainer.views[0]
    batch.waves[0, 100] = torch.nan
    before = [p.clone() for p in trainer.learner.parameters()]
    with pytest.raises(TrainingStopped, match="step 1: .*loss.* not finite"):
        trainer.step(1, [batch])
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.learner.parameters(), strict=True))
    check_finite(1, {"loss": 0.0}, 1.0)


def test_learning_rates_are_set_by_the_beginning_of_a_name(clips: Path) -> None:
    trainer = trainer_of(make(rate_factors={"stem": 0, "blocks": 3, "blocks.0": 2}, learning_rate=1e-3), clips)
    before = {name: p.clone() for name, p in trainer.learner.encoder.named_parameters()}
    trainer.step(1, [trainer.views[0]])
    changed = {name for name, p in trainer.learner.encoder.named_parameters() if not torch.equal(p, before[name])}
    assert not [name for name in changed if name.startswith("stem")]
    assert any(name.startswith("blocks") for name in changed)
    assert sorted({group["lr"] for group in trainer.optimiser.param_groups}) == pytest.approx([5e-4, 1e-3, 1.5e-3])


def test_at_the_end_the_weights_move_partly_back_and_the_head_is_whitened(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finish, "CROPS", 48)
    torch.manual_seed(3)
    checkpoint.save(Encoder(preset("tiny")), tmp_path / "start", {}, "", half=False)
    config = make(init=str(tmp_path / "start"), blend=0.25, learning_rate=1e-3, whiten=0.0)
    trainer = trainer_of(config, clips)
    trainer.step(1, [trainer.views[0]])
    start, trained = start_encoder(config).state_dict(), trainer.averaged.encoder.state_dict()
    expected = {name: torch.lerp(start[name], tensor, 0.25) for name, tensor in trained.items()}
    trainer.finish()
    encoder = trainer.averaged.encoder
    torch.testing.assert_close(encoder.state_dict()["stem.project.weight"], expected["stem.project.weight"])
    outputs = finish.head_outputs(encoder, trainer.views.loader(0, 3, 0))
    assert outputs.mean(0).norm() < 1e-3 * outputs.norm(dim=1).mean()


def test_ema_is_the_share_of_itself_that_the_average_keeps(clips: Path) -> None:
    found = {}
    for ema in (0.0, 0.05):
        trainer = trainer_of(make(ema=ema, learning_rate=1e-3), clips)
        before = [p.clone() for p in trainer.learner.parameters()]
        trainer.step(1, [trainer.views[0]])
        found[ema] = before, list(trainer.learner.parameters()), list(trainer.averaged.parameters())
    _, ours, averaged = found[0.0]
    assert all(torch.equal(a, b) for a, b in zip(ours, averaged, strict=True))
    for before, ours, averaged in zip(*found[0.05], strict=True):
        torch.testing.assert_close(averaged, torch.lerp(ours, before, 0.05), atol=1e-7, rtol=1e-5)


def test_with_groups_every_other_clip_of_the_grouped_tracks_trains(clips: Path) -> None:
    shards = ClipShards.open(clips)
    names = {f"track{i}": "one" if i < 4 else "other" for i in range(7)}  # all but the last track
    views = {"positives": "singer", "same_singer": "group", "crop_s": 0.5}
    trainer = Trainer(make(init="default", views=views, held_out=0), shards, names, 0, 1, CPU)
    odd_ones = shards.subset(every_other(shards.rows)).rows
    assert trainer.views.shards.rows == [row for row in odd_ones if row.track_id != "track7"]
    assert len(trainer.views.shards) < len(odd_ones)


def hide_what_is_loud(
    self: Learner, features: torch.Tensor, n_frames: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hide frames by a rule instead of at random (`Learner._hide`), so that any rank masks a clip alike."""
    stride = self.encoder.stride
    hidden = features.mean(2)[:, ::stride] > 0
    mask = hidden.repeat_interleave(stride, dim=1)[:, : features.shape[1]]
    return features.masked_fill(mask[..., None], 0.0), hidden


RECIPES = ["contrastive_masked", "masked", "vicreg"]


def second_steps(rank: int, world_size: int, clips: str, out: str) -> None:
    """Write the gradients of one rank's second step, from two batches, for each recipe; rank 0 writes."""
    if world_size > 1:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29531"}
        torch.distributed.init_process_group("gloo", rank=rank, world_size=world_size)
    found = {}
    for recipe in RECIPES:
        config = make(recipe=recipe, clip_norm=1e9, accumulate=2)
        trainer = Trainer(config, ClipShards.open(clips), None, rank, world_size, CPU)
        with mock.patch.object(Learner, "_hide", hide_what_is_loud):
            for step, batches in trainer.batches():
                row = trainer.step(step, batches)
                if step == 2:
                    break
        named = {name: p.grad for name, p in trainer.learner.named_parameters() if p.grad is not None}
        found[recipe] = {"gradients": named, "loss": row["loss"]}
    if rank == 0:
        torch.save(found, out)
    if world_size > 1:
        torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def by_one_and_by_two(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Steps, Steps]:
    """Return the second step of each recipe on one worker, and on two, which start once for all recipes."""
    folder = tmp_path_factory.mktemp("workers")
    second_steps(0, 1, str(clips), str(folder / "1.pt"))
    torch.multiprocessing.spawn(second_steps, (2, str(clips), str(folder / "2.pt")), nprocs=2)
    one, two = (torch.load(folder / f"{n}.pt", weights_only=True) for n in (1, 2))
    return one, two


@pytest.mark.parametrize("recipe", RECIPES)
def test_two_workers_with_half_batches_equal_one_with_the_whole(
    by_one_and_by_two: tuple[Steps, Steps], recipe: str
) -> None:
    one, two = (steps[recipe] for steps in by_one_and_by_two)
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-4)
    assert one["gradients"].keys() == two["gradients"].keys()
    largest = max(float(g.abs().max()) for g in one["gradients"].values())
    for name, gradient in one["gradients"].items():
        assert torch.allclose(gradient, two["gradients"][name], atol=1e-4 * largest, rtol=1e-2), name
