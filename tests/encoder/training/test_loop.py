"""Training: it learns, goes on where it was killed, stops when it must, and is the same on several workers."""

import csv
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
import torch.multiprocessing

from encoder.config import NO_AUGMENT, RECIPES, ObjectivesConfig, TrainConfig
from encoder.training.data import ClipShards
from encoder.training.learner import Learner
from encoder.training.loop import Trainer, TrainingStopped, check_finite, finished, fit

FAST: dict[str, Any] = {
    "size": "tiny",
    "init": None,
    "batch": 8,
    "warmup": 2,
    "held_out": 0.25,
    "precision": "float32",
    "views": {"crop_s": 0.5},
    "log_every": 1,
    "validate_every": 4,
    "checkpoint_every": 2,
}


def make(**settings: Any) -> TrainConfig:
    return TrainConfig.model_validate(FAST | {"steps": 4} | settings)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


def losses(folder: Path) -> list[str]:
    return [row["loss"] for row in rows(folder)]


def test_it_learns_to_tell_singers_apart(clips: Path, tmp_path: Path) -> None:
    config = make(steps=40, learning_rate=2e-3, augment=NO_AUGMENT, recipe="contrastive", checkpoint_every=40)
    encoder = fit(config, clips, tmp_path)
    found = [float(loss) for loss in losses(tmp_path)]
    assert sum(found[-5:]) < 0.7 * sum(found[:5])
    last = rows(tmp_path)[-1]
    assert float(last["held_out_eer"]) < 0.4
    assert float(last["effective_rank"]) > 1
    spent = [float(last[f"{phase}_s"]) for phase in ("waiting", "forward", "backward")]
    assert float(last["clips_per_s"]) == pytest.approx(8 / sum(spent), rel=1e-3)
    assert min(float(last[f"{phase}_s"]) for phase in ("data", "augment")) > 0
    again, history = finished(tmp_path / "checkpoint")
    assert history[-1]["step"] == 40
    wave = torch.randn(1, 16000)
    assert torch.equal(again(wave, 16000), encoder(wave, 16000))
    assert list((tmp_path / "tensorboard").iterdir())


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_each_recipe_trains(clips: Path, tmp_path: Path, recipe: str) -> None:
    config = make(steps=2, recipe=recipe, checkpoint_every=2)
    fit(config, clips, tmp_path)
    first, second = rows(tmp_path)
    weights = RECIPES[recipe].model_dump()
    terms = [term for term in first if term in weights]
    assert terms
    assert float(first["loss"]) == pytest.approx(sum(weights[t] * float(first[t]) for t in terms), rel=1e-3)
    assert float(first["gradient_norm"]) > 0
    assert math.isfinite(float(second["loss"]))


@pytest.mark.parametrize("recipe", ["queue", "dino"])
def test_going_on_from_a_checkpoint_gives_the_losses_of_an_undisturbed_run(
    clips: Path, tmp_path: Path, recipe: str
) -> None:
    config = make(steps=6, recipe=recipe, accumulate=2)
    fit(config, clips, tmp_path / "whole")

    class Killed(Exception):
        pass

    def kill(row: dict[str, float], folder: Path | None) -> None:
        if row["step"] == 3:
            raise Killed

    with pytest.raises(Killed):
        fit(config, clips, tmp_path / "cut", report=kill)
    fit(config, clips, tmp_path / "cut", resume=tmp_path / "cut" / "checkpoint")
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    one, _ = finished(tmp_path / "cut" / "checkpoint")
    other, _ = finished(tmp_path / "whole" / "checkpoint")
    for ours, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_checkpoint_of_another_configuration_is_refused(clips: Path, tmp_path: Path) -> None:
    fit(make(steps=2), clips, tmp_path)
    with pytest.raises(ValueError, match=r"another configuration \(seed differ\)"):
        fit(make(steps=2, seed=1), clips, tmp_path, resume=tmp_path / "checkpoint")


SCRIPT = """
import json, sys, torch
from pathlib import Path
from encoder.config import TrainConfig
from encoder.training.loop import fit
torch.set_num_threads(1)
out = Path(sys.argv[2])
resume = out / "checkpoint" if (out / "checkpoint" / "state.pt").exists() else None
fit(TrainConfig.model_validate(json.loads(sys.argv[3])), sys.argv[1], out, resume=resume)
"""


def test_kill_9_and_the_same_command_again(clips: Path, tmp_path: Path) -> None:
    config = make(steps=8, recipe="contrastive_masked")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    fit(config, clips, tmp_path / "whole")
    torch.set_num_threads(threads)
    command = [sys.executable, "-c", SCRIPT, str(clips), str(tmp_path / "cut"), config.model_dump_json()]
    process = subprocess.Popen(command)
    state = tmp_path / "cut" / "checkpoint" / "state.pt"
    while not state.exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(command, check=True)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")


def test_a_collapse_stops_the_run_and_says_when(clips: Path, tmp_path: Path) -> None:
    pull = ObjectivesConfig(contrastive=0, alignment=1)
    config = make(
        steps=60, objectives=pull, learning_rate=1e-2, augment=NO_AUGMENT, collapse_spread=0.1, checkpoint_every=60
    )
    with pytest.raises(TrainingStopped, match=r"step \d+: the embeddings have collapsed"):
        fit(config, clips, tmp_path)


def test_a_loss_that_is_not_finite_stops_before_it_reaches_the_weights(clips: Path) -> None:
    config = make(augment=NO_AUGMENT)
    trainer = Trainer(config, ClipShards.open(clips), None, 0, 1, torch.device("cpu"))
    views = trainer.views(1, 0)
    views.waves[0, 100] = torch.nan
    before = [p.clone() for p in trainer.learner.parameters()]
    with pytest.raises(TrainingStopped, match="step 1: .*loss.* not finite"):
        trainer.step(1, [views])
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.learner.parameters(), strict=True))
    check_finite(1, {"loss": 0.0}, 1.0)


def hide_what_is_loud(
    self: Learner, features: torch.Tensor, n_frames: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Learner._hide by a rule instead of by chance, so that a clip is masked alike on any rank."""
    stride = self.encoder.stride
    hidden = features.mean(2)[:, ::stride] > 0
    mask = hidden.repeat_interleave(stride, dim=1)[:, : features.shape[1]]
    return features.masked_fill(mask[..., None], 0.0), hidden


def gradients(rank: int, world_size: int, clips: str, recipe: str, out: str) -> None:
    """One step's gradients of one rank, written by rank 0."""
    if world_size > 1:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29531"}
        torch.distributed.init_process_group("gloo", rank=rank, world_size=world_size)
    config = make(recipe=recipe, augment=NO_AUGMENT, clip_norm=1e9)
    trainer = Trainer(config, ClipShards.open(clips), None, rank, world_size, torch.device("cpu"))
    with mock.patch.object(Learner, "_hide", hide_what_is_loud):
        row = trainer.step(1, [trainer.views(1, 0)])
    if rank == 0:
        named = {name: p.grad for name, p in trainer.learner.named_parameters() if p.grad is not None}
        torch.save({"gradients": named, "loss": row["loss"]}, out)
    if world_size > 1:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("recipe", ["contrastive_masked", "vicreg"])
def test_two_workers_on_half_batches_are_one_on_the_whole(clips: Path, tmp_path: Path, recipe: str) -> None:
    gradients(0, 1, str(clips), recipe, str(tmp_path / "1.pt"))
    torch.multiprocessing.spawn(gradients, (2, str(clips), recipe, str(tmp_path / "2.pt")), nprocs=2)
    one, two = (torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in (1, 2))
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-5)
    assert one["gradients"].keys() == two["gradients"].keys()
    largest = max(float(g.abs().max()) for g in one["gradients"].values())
    for name, gradient in one["gradients"].items():
        assert torch.allclose(gradient, two["gradients"][name], atol=1e-5 * largest, rtol=1e-3), name
