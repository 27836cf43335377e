"""The recipe of the shipped weights, on voices of a few seconds and CAM++ with random weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import encoder
from encoder import Encoder, checkpoint
from encoder.training import finish
from encoder.training.recipes import separated
from encoder.training.recipes.separated import main, nested
from encoder.training.state import finished
from tests.encoder.test_campplus import published_modules


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.manual_seed(0)
    torch.save(published_modules().state_dict(), tmp_path / "campplus.pt")
    monkeypatch.setattr(checkpoint, "published_weights", lambda: tmp_path / "campplus.pt")
    monkeypatch.setattr(finish, "CROPS", 48)
    monkeypatch.setattr(separated, "CENTRING_BATCHES", 2)
    rng = np.random.default_rng(0)
    for singer in ("ann", "ben", "cy"):
        for song in ("01", "02"):
            path = tmp_path / "recordings" / "karaoke" / singer / f"{song}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.1 * rng.standard_normal((32000, 2)), 16000)
    return tmp_path / "recordings"


def test_the_command_trains_with_the_common_loop_and_continues(recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    settings = ["steps=2", "batch=4", "views.crop_s=0.5", "views.speeds=[1.0, 1.14]", "warmup=1", "log_every=1"]
    assert main([str(recordings), str(out), *settings]) == 0
    trained = encoder.load(out / "encoder")
    assert isinstance(trained, Encoder)
    assert (trained.config.layers, trained.config.loudness, trained.config.stem) == (2, 0.2, "campplus")
    metrics = json.loads((out / "encoder" / "metrics.json").read_text())
    assert metrics["train"]["recipe"] == "separated"
    assert {"contrastive", "prototypical", "attraction"} < metrics.keys()
    assert trained.encoder_id in (out / "encoder" / "README.md").read_text()
    start, end = (model.state_dict() for model in (encoder.load(out / "start"), finished(out / "checkpoint")[0]))
    # New layers are trained, the two-dimensional convolutions are frozen.
    assert end["blocks.0.attention_out.weight"].abs().max() > 0
    assert all(torch.equal(start[name], end[name]) for name in start if name.startswith("stem.residuals"))
    assert main([str(recordings), str(out), *settings]) == 0
    assert encoder.load(out / "encoder").encoder_id == trained.encoder_id


def test_dots_in_settings_lead_into_sections() -> None:
    assert nested(["steps=3", "views.crop_s=0.5", "views.speeds=[1.0]"]) == {
        "steps": 3, "views": {"crop_s": 0.5, "speeds": [1.0]}}  # fmt: skip


def test_without_arguments_it_prints_its_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "python -m encoder.training.recipes.separated" in capsys.readouterr().err
