"""The recipe of the shipped weights, on voices of a few seconds and CAM++ with random weights."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torch.nn.functional as F

from encoder.checkpoint import load
from encoder.recipes.separated import (
    Prototypes,
    find_teacher,
    frame_distance,
    main,
    optimiser_of,
    scale_of,
    start,
    tell_apart,
)
from encoder.recipes.singers import RecipeConfig
from tests.encoder.test_campplus import published_modules


def test_frame_distance_is_in_units_of_each_channels_variance() -> None:
    torch.manual_seed(0)
    targets = torch.randn(3, 40, 5) * torch.tensor([0.1, 1.0, 3.0, 10.0, 0.5])
    frames = targets + torch.randn(3, 40, 5)
    weights = torch.rand(3, 40)
    literal = 0.0
    for channel in range(5):
        flat = [float(x) for x in targets[..., channel].flatten()]
        mean = sum(flat) / len(flat)
        variance = sum((x - mean) ** 2 for x in flat) / (len(flat) - 1)
        pairs = zip((frames - targets)[..., channel].flatten().tolist(), weights.flatten().tolist(), strict=True)
        literal += sum(x**2 * weight for x, weight in pairs) / float(weights.sum()) / variance / 5
    assert float(frame_distance(frames, targets, weights)) == pytest.approx(literal, rel=1e-4)
    assert float(frame_distance(targets, targets, weights)) == 0


def test_finding_the_teacher_against_a_literal_version() -> None:
    torch.manual_seed(0)
    ours, theirs = F.normalize(torch.randn(4, 8), dim=1), F.normalize(torch.randn(4, 8), dim=1)
    singers = [5, 7, 5, 9]
    literal = 0.0
    for i in range(4):
        rivals = [j for j in range(4) if j == i or singers[j] != singers[i]]
        total = sum(math.exp(float(ours[i] @ theirs[j]) / 0.1) for j in rivals)
        literal -= math.log(math.exp(float(ours[i] @ theirs[i]) / 0.1) / total) / 4
    assert float(find_teacher(ours, theirs, torch.tensor(singers), 0.1)) == pytest.approx(literal, rel=1e-5)


def test_telling_apart_against_a_literal_version() -> None:
    torch.manual_seed(0)
    vectors, embeddings = F.normalize(torch.randn(5, 8), dim=1), F.normalize(torch.randn(3, 8), dim=1)
    ambiguous = torch.zeros(5, 5, dtype=torch.bool)
    ambiguous[2, 4] = ambiguous[4, 2] = True
    identities = [2, 0, 4]
    literal = 0.0
    for embedding, own in zip(embeddings, identities, strict=True):
        cosines = [float(embedding @ vector) for vector in vectors]
        others = [math.exp(c / 0.1) for i, c in enumerate(cosines) if not ambiguous[own, i]]
        literal -= math.log(math.exp(cosines[own] / 0.1) / sum(others)) / 3
    found = tell_apart(embeddings, torch.tensor(identities), Prototypes(vectors, ambiguous), 0.1)
    assert float(found) == pytest.approx(literal, rel=1e-5)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(published_modules().state_dict(), tmp_path / "campplus.pt")
    rng = np.random.default_rng(0)
    for singer in ("ann", "ben", "cy"):
        path = tmp_path / "data" / "karaoke" / singer / "01.flac"
        path.parent.mkdir(parents=True)
        soundfile.write(path, 0.1 * rng.standard_normal((32000, 2)), 16000)
    return tmp_path


def test_a_learning_rate_follows_its_tensors_scale(data: Path) -> None:
    config = RecipeConfig(layers=1, relative_rate=0.01, relative_rate_new=2e-3, fixed=("head", "stem.dense.2"))
    student = start(data / "campplus.pt", config, config.loudness)
    groups = optimiser_of(student, config).param_groups
    peaks = {id(group["params"][0]): group["peak"] for group in groups}
    for name, parameter in student.named_parameters():
        assert (id(parameter) in peaks) == (not name.startswith(("head", "stem.dense.2"))), name
    weight = student.get_parameter("stem.halve.weight")
    assert peaks[id(weight)] == pytest.approx(0.01 * float(weight.detach().square().mean().sqrt()))
    assert peaks[id(student.get_parameter("pool.score.weight"))] == pytest.approx(2e-3 * 0.02)
    assert scale_of(torch.tensor([1.0, 2.0, 300.0])) == 2.0


def test_the_command_trains_from_pairs_and_leaves_its_log(data: Path) -> None:
    settings = ["steps=2", "singers=2", "crop_s=1.0", "teacher_crop_s=1.0", "speeds=[1.0]", "layers=1"]
    main([str(data / "data"), str(data / "campplus.pt"), str(data / "out"), *settings])
    rows = (data / "out" / "log.csv").read_text().splitlines()
    assert rows[0] == "step,seconds,frames,cosine,moments,contrastive,prototypes,gradient_norm"
    assert [row.split(",")[0] for row in rows[1:]] == ["1", "2"]
    state = torch.load(data / "out" / "averaged.pt", weights_only=True)
    # New layers learn; what is fixed stays.
    assert state["blocks.0.attention_out.weight"].abs().max() > 0
    config = RecipeConfig(layers=1)
    for name, before in start(data / "campplus.pt", config, config.loudness).state_dict().items():
        if name.startswith(config.fixed):
            assert torch.equal(state[name], before), name
    shipped = load(data / "out" / "encoder").state_dict()
    learned = state["blocks.0.attention_out.weight"]
    torch.testing.assert_close(shipped["blocks.0.attention_out.weight"], learned, rtol=1e-2, atol=1e-6)
    assert '"steps": 2' in (data / "out" / "recipe.json").read_text()
