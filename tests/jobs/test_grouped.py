"""Training on groups of tracks: what it writes, and that the old encoder stays if nothing better is found."""

import io
import json

import numpy as np
import pytest
import soundfile
import torch

import encoder
from encoder import Encoder
from encoder.checkpoint import save
from encoder.config import preset
from jobs import engine, frames, grouped, train
from pipeline.scoring import learned, teaching, voices
from pipeline.scoring.backend import Backend
from pipeline.scoring.evidence import Evidence
from pipeline.store import tables

RATE, CLIP_S = 16000, 6.0
FAST = {
    "recipe": "groups",
    "steps": 12,
    "batch": 16,
    "warmup": 2,
    "cpus": 1,
    "learning_rate": 1e-3,
    "blend": 1,
    "log_every": 6,
    "checkpoint_every": 6,
    "views": {"crop_s": 2},
    "objectives": {"one_singer": 0.98},
}


def write_clips(workspace, singers: int, songs: int = 4) -> None:
    """Write a clip for each song: its singer's tone, in noise with a spectrum of the song's own."""
    rows = []
    for track in range(singers * songs):
        rng, seconds = np.random.default_rng(track), np.arange(RATE) / RATE
        pitch = 200 * 1.25 ** (track // songs)
        wave = sum(np.sin(2 * np.pi * pitch * h * seconds) / h for h in (1, 2, 3)) + 0.3 * rng.standard_normal(RATE)
        data = io.BytesIO()
        soundfile.write(data, 0.2 * np.convolve(wave, rng.normal(size=2), "same"), RATE, format="FLAC")
        times = {"start_s": 0.0, "end_s": CLIP_S, "sample_rate_hz": RATE, "audio": data.getvalue()}
        rows += [{"clip_id": f"{track:03}-{i}", "track_id": f"{track:03}", **times} for i in range(2)]
    tables.write(workspace, "clips", rows, "all")


@pytest.fixture
def start(tmp_path) -> str:
    """Return the folder of a tiny encoder with random weights."""
    torch.manual_seed(0)
    save(Encoder(preset("tiny")).eval(), tmp_path / "start", {}, "untrained")
    return str(tmp_path / "start")


def by_fours(evidence: Evidence, backend: Backend) -> np.ndarray:
    """Return groups that never change, so that there is nothing for a second round to learn."""
    return np.arange(len(evidence)) // 4


@pytest.mark.usefixtures("ray_cluster")
def test_a_round_writes_an_encoder_with_its_calibration(workspace, make_config, start, monkeypatch):
    monkeypatch.setattr(learned, "LEAST_S", 1.0)
    monkeypatch.setattr(teaching, "LEAST_S", 1.0)
    write_clips(workspace, singers=10)
    config = make_config(train=FAST | {"init": start, "rounds": 3})
    model, run = train.start_of(workspace, config.train), engine.Run("train", config)
    shards = frames.keep(workspace, model)
    before = frames.hear(workspace, shards, model)
    (found,) = grouped.rounds(run, config.train, "tones", model.encoder_id, before, shards, None, by_fours)
    clips = tables.read(workspace, "clips", ["clip_id", "track_id"])
    encoder_id = train.publish(workspace, config.train, "tones", found.checkpoint, clips, found)
    made = encoder.load(workspace.path(f"encoders/{encoder_id}"))
    metrics = json.loads(workspace.read_bytes(f"encoders/{encoder_id}/metrics.json"))
    assert metrics["groups"] == 10 and metrics["round"] == 1 and metrics["after"] == found.lesson.errors.after
    assert made.encoder_id == encoder_id != model.encoder_id
    own = Backend.from_bytes(workspace.read_bytes(voices.calibration_name(encoder_id)))
    assert own.encoder_id == encoder_id
    card = workspace.read_bytes(f"encoders/{encoder_id}/README.md").decode()
    assert f"{found.lesson.errors.after:.2%}" in card


@pytest.mark.usefixtures("ray_cluster")
def test_with_too_few_groups_the_old_encoder_stays(workspace, make_config, start, capsys):
    write_clips(workspace, singers=3)
    config = make_config(train=FAST | {"init": start}, shard={"sample_rate_hz": 44100})
    assert engine.execute(train.STAGE, config) == 0
    assert "stays the encoder: there is too little to learn from" in capsys.readouterr().out
    assert not [name for name in workspace.list_all("encoders") if name.endswith("metrics.json")]
