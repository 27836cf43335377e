"""The train job with `train.method: linear`: what it writes, and that the workspace's scores use it."""

import json

import numpy as np
import pytest
import torch

import encoder
from encoder import Encoder
from encoder.checkpoint import save
from encoder.config import preset
from jobs import engine, train
from pipeline.scoring import voices
from pipeline.scoring.backend import Backend
from pipeline.store import tables

DIM = preset("tiny").dim


def fill(workspace, encoder_id: str, singers: int, songs: int = 5) -> None:
    """Write clips, voices and artist tags; songs differ most in six directions that say nothing about who sings."""
    rng, rows = np.random.default_rng(0), {"embeddings": [], "voices": [], "tracks": []}
    stretch = np.where(np.arange(DIM) < 6, 2.0, 0.7)
    for track in range(singers * songs):
        singer = np.random.default_rng([track // songs]).normal(size=DIM)
        clips = singer + rng.normal(size=DIM) * stretch + rng.normal(size=(6, DIM))
        clips /= np.linalg.norm(clips, axis=1, keepdims=True)
        track_id, mean = f"{track:032x}", clips.mean(0)
        length = float(np.linalg.norm(mean))
        common = {"track_id": track_id, "encoder_id": encoder_id}
        rows["embeddings"] += [
            {
                **common,
                "clip_id": f"{track_id}-{i}",
                "start_s": 6.0 * i,
                "end_s": 6.0 * i + 6,
                "embedding": clip.tolist(),
            }
            for i, clip in enumerate(clips)
        ]
        rows["voices"].append({**common, "n_clips": 6, "spread": 1 - length, "embedding": (mean / length).tolist()})
        rows["tracks"].append({"track_id": track_id, "uri": f"/{track}.mp3", "artist": f"Singer {track // songs}"})
    for table, found in rows.items():
        for part in range(2):
            tables.write(workspace, table, found[part::2] if table != "embeddings" else halved(found, part), str(part))


def halved(clips: list[dict], part: int) -> list[dict]:
    """Return the clips of every other track, since all of a track's clips are in one part."""
    return [clip for i, clip in enumerate(clips) if i // 6 % 2 == part]


@pytest.fixture
def start(tmp_path) -> str:
    """Return the folder of a tiny encoder with random weights."""
    torch.manual_seed(0)
    save(Encoder(preset("tiny")).eval(), tmp_path / "start", {}, "untrained")
    return str(tmp_path / "start")


def test_the_back_end_and_an_encoder_learn_from_the_catalogue(workspace, make_config, start):
    before = encoder.load(start)
    fill(workspace, before.encoder_id, singers=20)
    tables.replace(workspace, "clusters", [{"track_id": f"{0:032x}", "cluster_id": 0}])
    config = make_config(train={"method": "linear", "use_credits": True}, embed={"encoder": start})
    _, brought = voices.read(workspace)
    assert engine.execute(train.STAGE, config) == 0
    _, taught = voices.read(workspace)
    assert not np.allclose(taught.matrix, brought.matrix) and taught.encoder_id == before.encoder_id
    np.testing.assert_allclose(voices.read(workspace, taught=False)[1].matrix, brought.matrix)
    assert not tables.parts(workspace, "clusters"), "they were made by the scores before"
    (name,) = [name for name in workspace.list_all("encoders") if name.endswith("metrics.json")]
    made = encoder.load(workspace.path(name.removesuffix("/metrics.json")))
    assert json.loads(workspace.read_bytes(name))["start"] == before.encoder_id
    own = Backend.from_bytes(workspace.read_bytes(voices.calibration_name(made.encoder_id)))
    assert own.encoder_id == made.encoder_id and np.array_equal(own.matrix, np.eye(DIM))

    tables.replace(workspace, "clusters", [{"track_id": f"{0:032x}", "cluster_id": 0}])
    assert engine.execute(train.STAGE, config) == 0
    assert tables.parts(workspace, "clusters"), "the same catalogue teaches the same: nothing is to be made anew"


def test_if_nothing_is_learned_everything_stays_and_the_run_says_so(workspace, make_config, start, capsys):
    fill(workspace, encoder.load(start).encoder_id, singers=3)
    assert engine.execute(train.STAGE, make_config(train={"method": "linear"}, embed={"encoder": start})) == 0
    assert "the scores stay as they were: there is too little to learn from" in capsys.readouterr().out
    assert not workspace.list_all("encoders")


def test_it_needs_voices(workspace, make_config):
    with pytest.raises(engine.RunError, match="voices"):
        engine.execute(train.STAGE, make_config(train={"method": "linear"}))
