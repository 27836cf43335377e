"""Training learns, continues where it was killed, and stops when it must."""

import csv
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing

from encoder.training.config import NO_AUGMENT, ObjectivesConfig, TrainConfig
from encoder.training.loop import fit
from encoder.training.presets import RECIPES
from encoder.training.state import finished
from encoder.training.trainer import TrainingStopped

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
    spent = [float(last[f"{phase}_s"]) for phase in ("loading", "augment", "forward", "backward")]
    assert float(last["clips_per_s"]) == pytest.approx(8 / sum(spent), rel=1e-3)
    assert min(spent) > 0
    again, history = finished(tmp_path / "checkpoint")
    assert history[-1]["step"] == 40
    wave = torch.randn(1, 16000)
    assert torch.equal(again(wave, 16000), encoder(wave, 16000))
    assert list((tmp_path / "tensorboard").iterdir())


@pytest.mark.parametrize("recipe", sorted(set(RECIPES) - {"separated", "groups"}))  # which have tests of their own
def test_each_recipe_trains(clips: Path, tmp_path: Path, recipe: str) -> None:
    config = make(steps=2, recipe=recipe, checkpoint_every=2)
    fit(config, clips, tmp_path)
    first, second = rows(tmp_path)
    weights = config.objectives.model_dump()
    terms = [term for term in first if term in weights]
    assert terms
    assert float(first["loss"]) == pytest.approx(sum(weights[t] * float(first[t]) for t in terms), rel=1e-3)
    assert float(first["gradient_norm"]) > 0
    assert math.isfinite(float(second["loss"]))


@pytest.mark.parametrize("recipe", ["queue", "dino"])
def test_continuing_from_a_checkpoint_gives_the_losses_of_an_uninterrupted_run(
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
from encoder.training.config import TrainConfig
from encoder.training.loop import fit
torch.set_num_threads(1)
out = Path(sys.argv[2])
resume = out / "checkpoint" if (out / "checkpoint" / "state.pt").exists() else None
fit(TrainConfig.model_validate(json.loads(sys.argv[3])), sys.argv[1], out, resume=resume)
"""


def test_after_kill_9_the_same_command_continues(clips: Path, tmp_path: Path) -> None:
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


def test_a_collapse_stops_the_training_and_names_the_step(clips: Path, tmp_path: Path) -> None:
    pull = ObjectivesConfig(contrastive=0, alignment=1)
    config = make(
        steps=60, objectives=pull, learning_rate=1e-2, augment=NO_AUGMENT, collapse_std=0.1, checkpoint_every=60
    )
    with pytest.raises(TrainingStopped, match=r"step \d+: the embeddings have collapsed"):
        fit(config, clips, tmp_path)
