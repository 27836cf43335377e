"""The bench of training in rounds: the clips it learns from, and the rows it prints."""

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
from pipeline.scoring import learned, teaching
from pipeline.scoring.backend import Backend
from pipeline.scoring.evidence import Evidence
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


@pytest.fixture
def start(tmp_path: Path) -> Encoder:
    """Return a tiny encoder with random weights, which is in the folder `start`."""
    torch.manual_seed(0)
    model = Encoder(preset("tiny")).eval()
    save(model, tmp_path / "start", {}, "untrained", half=False)
    return model


def test_if_nothing_is_learned_only_the_rows_as_shipped_are_printed(
    workspace: Workspace,
    tmp_path: Path,
    start: Encoder,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answers, "DRAWS", 1)
    write_clips(workspace, singers=3)
    case = case_of(workspace, start)
    rounds.measure("tones", case, workspace, TrainConfig(recipe="groups", init=str(tmp_path / "start")))
    said = capsys.readouterr().out.splitlines()
    rows = [line.strip("| ").split(" | ") for line in said if line.startswith("| tones")]
    assert [row[:3] for row in rows] == [["tones", "shipped", ""], ["tones, the unseen four", "shipped", ""]]
    assert rows[0][3:] == [f"{value:.2f}" for value in teach.row(case, case.backend)]


@pytest.mark.usefixtures("ray_cluster")
def test_a_round_learns_from_the_frames_of_the_catalogues_tracks_alone(
    workspace: Workspace, tmp_path: Path, start: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (learned, teaching):
        monkeypatch.setattr(module, "LEAST_S", 1.0)
    monkeypatch.setattr(teaching, "FEWEST", 1)
    write_clips(workspace, singers=3)
    case = case_of(workspace, start)
    part = case._replace(catalogue=case.catalogue.part(np.arange(12) < 10), measured=np.ones(10, bool))
    settings = {"recipe": "groups", "init": str(tmp_path / "start"), "rounds": 1, "steps": 2, "batch": 8, "cpus": 1}
    fast = {"learning_rate": 0.01, "warmup": 0, "objectives": {"one_singer": 0.98}}
    train = TrainConfig.model_validate(settings | fast)
    ((found, heard),) = rounds.trained(part, workspace, train, grouping=by_fives)
    assert heard.catalogue.voices.track_ids.tolist() == [f"{track:03}" for track in range(10)]
    assert found.lesson.groups == 2 and found.checkpoint is not None
    assert not np.allclose(heard.catalogue.voices.means, part.catalogue.voices.means, atol=1e-4)


def by_fives(evidence: Evidence, backend: Backend) -> np.ndarray:
    """Return two groups, since tones have no voices to group by."""
    return np.arange(len(evidence)) // 5
