"""The bench of training in rounds: each catalogue has its own clips, and each round its rows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from encoder import Encoder
from encoder.checkpoint import save
from encoder.config import preset
from encoder.training.config import TrainConfig
from encoder.training.data import ClipShards
from jobs import frames
from jobs.bench import answers, rounds, teach
from jobs.bench.singers import Catalogue
from jobs.bench.teach import Case
from pipeline.scoring.backend import Backend
from pipeline.scoring.labelled import pool
from pipeline.scoring.voices import Voices
from pipeline.store import tables
from pipeline.store.workspace import Workspace
from tests.jobs.test_grouped import write_clips

SINGERS = ("ariel", "abjones", "amy")


def case_of(workspace: Workspace, model: Encoder) -> Case:
    """Return a workspace's clips as an encoder hears them, with four songs per singer."""
    shards = ClipShards.open([workspace.path(part) for part in tables.parts(workspace, "clips")])
    clips, ids = frames.embedded(shards, model)
    singer = np.array([SINGERS[int(track) // 4] for track in ids], object)
    means, seconds, _ = pool(clips)
    backend = Backend(means.mean(0), np.eye(model.dim), encoder_id=model.encoder_id)
    catalogue = Catalogue(Voices(ids, means, seconds), replace(clips, singer=singer), singer)
    return Case(catalogue, backend, np.ones(len(ids), bool))


@pytest.mark.usefixtures("ray_cluster")
def test_each_catalogue_has_its_own_clips_and_a_row_for_each_round(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "DRAWS", 1)
    torch.manual_seed(0)
    model = Encoder(preset("tiny")).eval()
    save(model, tmp_path / "start", {}, "untrained", half=False)
    write_clips(workspace, singers=4)
    others = np.array([f"{track:03}" for track in range(12)])
    place = rounds.clips_of(workspace, tmp_path / "part", Catalogue(Voices(others, None, None), None, others))
    assert set(tables.read(place, "clips", ["track_id"])["track_id"]) == set(others)

    case = case_of(place, model)
    rounds.measure("tones", case, place, TrainConfig(recipe="groups", init=str(tmp_path / "start")))
    said = capsys.readouterr().out.splitlines()
    rows = [line.strip("| ").split(" | ") for line in said if line.startswith("| tones")]
    assert [row[:3] for row in rows] == [
        ["tones", "shipped", ""],
        ["tones, the unseen four", "shipped", ""],
        ["tones", "round 1", "no"],
        ["tones, the unseen four", "round 1", "no"],
        ["tones", "round 1, those without credits", "no"],
    ]
    assert rows[0][3:] == rows[2][3:] == [f"{value:.2f}" for value in teach.row(case, case.backend)]
