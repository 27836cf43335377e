from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from encoder import DEFAULT, checkpoint
from jobs.bench import heard
from pipeline.sections import ExcerptsConfig
from pipeline.store import tables
from pipeline.store.workspace import Workspace

ENCODER = checkpoint.identity(DEFAULT)  # whose scores have a calibration
SINGERS, TRACKS, CLIPS, CLIP_S = 4, 3, 20, 6.0


@pytest.fixture
def catalogue(workspace: Workspace) -> Workspace:
    """Write tracks of two minutes of adjacent clips; a singer's clips all have about the same direction."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(SINGERS, 192))
    files, clips, truth = [], [], []
    for track in range(SINGERS * TRACKS):
        name, uri = f"{track:032x}", f"/music/{track:02d}.flac"
        files.append({"uri": uri, "track_id": name, "duration_s": CLIPS * CLIP_S})
        truth.append({"uri": uri, "who": f"singer {track % SINGERS}"})
        for clip in range(CLIPS):
            vector = centres[track % SINGERS] + 0.3 * rng.normal(size=192)
            place = {"start_s": clip * CLIP_S, "end_s": (clip + 1) * CLIP_S}
            vector = (vector / np.linalg.norm(vector)).tolist()
            clips.append(
                {"clip_id": f"{name}-{clip}", "track_id": name, **place, "encoder_id": ENCODER, "embedding": vector}
            )
    tables.write(workspace, "files", files, "all")
    tables.write(workspace, "embeddings", clips, "all")
    workspace.write_bytes("truth.csv", pd.DataFrame(truth).to_csv(index=False).encode())
    return workspace


def test_clips_with_their_middle_in_an_excerpt_are_kept(catalogue):
    tracks = tables.read(catalogue, "files", ["track_id", "duration_s"])
    clips = tables.read_arrow(catalogue, "embeddings")
    assert len(heard.within(clips, tracks, None)) == len(clips)
    kept = heard.within(clips, tracks, ExcerptsConfig(count=4, seconds=15))
    each = kept["track_id"].to_pandas().value_counts()
    assert set(each) <= {8, 9, 10, 11, 12} and len(each) == len(tracks)


def test_singers_with_directions_of_their_own_are_told_apart():
    vectors = np.repeat(np.eye(3), 2, axis=0)
    assert heard.alike(np.repeat(list("abc"), 2), vectors) == {"eer": 0.0, "nearest": 1.0}
    assert heard.alike(np.array(list("ababab")), vectors)["nearest"] == 0.0


def test_each_kind_of_excerpt_has_a_row(catalogue, capsys, monkeypatch):
    monkeypatch.setattr(heard, "TRIED", heard.TRIED[-2:])
    heard.of_whole(Path(catalogue.root))
    said = capsys.readouterr().out
    assert f"{SINGERS * TRACKS} tracks of {SINGERS} singers, 120 s each" in said
    whole, *others = [line for line in said.splitlines() if line.startswith(("| whole", "| 1", "| 2", "| 4", "| 6"))]
    assert len(others) == len(heard.TRIED)
    assert whole.split(" | ")[1:3] == ["0.0%", "100.0%"]
