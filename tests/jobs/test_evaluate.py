"""The evaluate stage on Ray writes tables and pages, embeds nothing twice, and takes a labelled workspace as a set."""

import numpy as np
import pandas as pd
import pytest
import soundfile

from jobs import engine, evaluate
from pipeline.evaluate import vectors
from pipeline.store import tables
from pipeline.store.workspace import Workspace

RATE_HZ = 16000


@pytest.fixture
def folder(tmp_path):
    """Write two songs each by two singers, who differ in timbre and pitch."""
    for singer, (slope, f0_hz) in {"ann": (1.0, 220.0), "bob": (2.5, 130.0), "cher": (1.7, 180.0)}.items():
        for song in range(2):
            time_s = np.arange(5 * RATE_HZ) / RATE_HZ
            wave = sum(np.sin(2 * np.pi * f0_hz * (1 + 0.1 * song) * k * time_s) / k**slope for k in range(1, 12))
            path = tmp_path / "set" / singer / f"{song}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.1 * wave, RATE_HZ)
    return tmp_path / "set"


def settings(**sets) -> dict:
    return {
        "encoders": ["mfcc", "nowhere"],
        "crop_s": 1.0,
        "sample_rate_hz": RATE_HZ,
        "bootstrap": 20,
        "compute": {"batch": 2, "workers_max": 2},
        "sets": [sets],
    }


def test_a_set_from_files_to_pages(ray_cluster, make_config, workspace, folder, capsys):
    (folder / "bob/broken.wav").write_bytes(b"RIFF")
    chosen = {
        "name": "buzz",
        "path": str(folder),
        "conditions": ["clean", "clean/mp3_64k"],
        "tasks": ["similarity", "identification", "retrieval"],
    }
    config = make_config(evaluate=settings(**chosen))
    assert engine.execute(evaluate.STAGE, config) == 0
    said = capsys.readouterr().out
    assert "6 recordings done, 0 skipped, 1 failed (decode 1)" in said and "nowhere cannot be loaded" in said
    frame = pd.read_parquet(workspace.path("evaluation"))
    assert set(frame["encoder"]) == {"mfcc"} and set(frame["condition"]) == {"clean", "clean/mp3_64k"}
    assert frame.loc[frame["metric"] == "recall_at_1", "value"].item() > 0.6
    assert workspace.exists("evaluation_report/evaluation.html") and workspace.exists("evaluation_trials/buzz.csv")
    kinds = tables.read(workspace, "failures").set_index("key")["error"]
    assert kinds["nowhere"] == "unavailable" and "decode" in kinds.to_numpy()
    parts = workspace.list(vectors.FOLDER)
    assert engine.execute(evaluate.STAGE, config) == 0
    assert "0 recordings done, 7 skipped, 0 failed" in capsys.readouterr().out
    assert workspace.list(vectors.FOLDER) == parts
    pd.testing.assert_frame_equal(frame, pd.read_parquet(workspace.path("evaluation")))
    assert len(tables.read(workspace, "failures")) == len(kinds), "a run replaces what the one before said"


def test_a_labelled_workspace_is_a_set(ray_cluster, make_config, workspace, folder):
    catalogue = Workspace(folder.parent / "catalogue")
    tracks = [
        {"track_id": f"{path.parent.name}{path.stem}", "artist": path.parent.name, "uri": str(path)}
        for path in sorted(folder.glob("*/*.flac"))
    ]
    tables.replace(catalogue, "tracks", tracks)
    tables.write(
        catalogue,
        "vocals",
        [
            {"track_id": row["track_id"], "vocals_uri": row["uri"], "separator": "s", "has_vocals": True}
            for row in tracks
        ],
        "a",
    )
    config = make_config(evaluate=settings(name="mine", reader="workspace", path=str(catalogue.root)))
    assert engine.execute(evaluate.STAGE, config) == 0
    frame = tables.read(workspace, "evaluation")
    assert set(frame["set"]) == {"mine"} and frame.loc[frame["metric"] == "eer", "value"].max() < 0.2


def test_a_wrong_set_stops_before_work_starts(make_config, workspace, tmp_path, capsys):
    config = make_config(evaluate=settings(name="s", path=str(tmp_path / "nowhere")))
    assert engine.guarded(lambda: engine.execute(evaluate.STAGE, config)) == 2
    assert "error: the set's folder" in capsys.readouterr().err
    config = make_config(evaluate={"encoders": ["mfcc"]})
    assert engine.guarded(lambda: engine.execute(evaluate.STAGE, config)) == 2
    assert "no separated track with an artist tag" in capsys.readouterr().err
