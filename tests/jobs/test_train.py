"""The train job under Ray Train: what it writes, and what it refuses."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import encoder
from jobs import engine, train
from pipeline.config import Config
from pipeline.store import tables
from pipeline.store.workspace import Workspace

RATE = 16000
FAST = {
    "size": "tiny",
    "init": None,
    "recipe": "contrastive",
    "batch": 8,
    "warmup": 2,
    "held_out": 0.25,
    "cpus": 1,
    "precision": "float32",
    "views": {"crop_s": 0.5},
    "log_every": 1,
    "validate_every": 4,
    "checkpoint_every": 2,
}


def write_clips(workspace: Workspace) -> None:
    """Write 24 clips of 8 tracks; each track is a tone of its own in noise."""
    rng, rows = np.random.default_rng(0), []
    for track in range(8):
        for clip in range(3):
            wave = np.sin(2 * np.pi * (200 + 90 * track) * np.arange(RATE) / RATE) + 0.3 * rng.standard_normal(RATE)
            buffer = io.BytesIO()
            soundfile.write(buffer, 0.2 * wave, RATE, format="FLAC")
            rows.append(
                {
                    "clip_id": f"{track}-{clip}",
                    "track_id": f"{track}",
                    "start_s": float(clip),
                    "end_s": clip + 1.0,
                    "sample_rate_hz": RATE,
                    "audio": buffer.getvalue(),
                }
            )
    tables.write(workspace, "clips", rows, "all")


@pytest.fixture
def config(make_config: Callable[..., Config], workspace: Workspace) -> Callable[..., Config]:
    """Return a function from train settings to a config in a workspace that has clips."""
    write_clips(workspace)

    def make(**settings: Any) -> Config:
        return make_config(train=FAST | {"steps": 4} | settings, shard={"sample_rate_hz": 44100})

    return make


def log_of(workspace: Workspace, encoder_id: str) -> list[dict[str, str]]:
    text = workspace.read_bytes(f"encoders/{encoder_id}/log.csv").decode()
    return list(csv.DictReader(io.StringIO(text)))


def trained(workspace: Workspace) -> str:
    found = [p.name for p in Path(workspace.path("encoders")).iterdir() if not p.name.startswith("_")]
    assert len(found) == 1
    return found[0]


@pytest.mark.usefixtures("ray_cluster")
def test_two_workers_publish_an_encoder_once(
    config: Callable[..., Config], workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engine.execute(train.STAGE, config(workers=2)) == 0
    encoder_id = trained(workspace)
    model = encoder.load(workspace.path(f"encoders/{encoder_id}"))
    assert model.encoder_id == encoder_id
    assert torch.isfinite(model(torch.randn(1, RATE), RATE)).all()
    assert [row["step"] for row in log_of(workspace, encoder_id)] == ["1", "2", "3", "4"]
    metrics = json.loads(workspace.read_bytes(f"encoders/{encoder_id}/metrics.json"))
    assert metrics["train"]["steps"] == 4
    assert metrics["n_clips"] == 24
    assert encoder_id in workspace.read_bytes(f"encoders/{encoder_id}/README.md").decode()
    said = capsys.readouterr().out
    assert said.count("on 2 workers") == 1
    assert "step 4  loss" in said
    assert not list(Path(workspace.path("encoders/_training")).iterdir())

    assert engine.execute(train.STAGE, config(workers=1)) == 0
    assert trained(workspace) == encoder_id
    assert "trained before" in capsys.readouterr().out


@pytest.mark.usefixtures("ray_cluster")
def test_settings_that_cannot_train_give_a_clear_error(
    config: Callable[..., Config], capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = config(views={"crop_s": 0.5, "positives": "pair"})
    assert engine.guarded(lambda: engine.execute(train.STAGE, pairs)) == 2
    assert "pair_audio" in capsys.readouterr().err


def test_an_encoder_from_random_weights_needs_clips_at_its_sample_rate(
    make_config: Callable[..., Config], capsys: pytest.CaptureFixture[str]
) -> None:
    narrow = make_config(train=FAST)
    assert engine.guarded(lambda: train.check(narrow)) == 2
    assert "set shard.sample_rate_hz=44100" in capsys.readouterr().err
