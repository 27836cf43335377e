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
from encoder.config import campplus
from encoder.model import Encoder
from encoder.training.recipes.separated import Prototypes, blend, main, prototype_terms, whiten
from tests.encoder.test_campplus import published_modules


def test_prototype_terms_against_a_literal_version() -> None:
    torch.manual_seed(0)
    vectors, embeddings = F.normalize(torch.randn(5, 8), dim=1), F.normalize(torch.randn(3, 8), dim=1)
    ambiguous = torch.zeros(5, 5, dtype=torch.bool)
    ambiguous[2, 4] = ambiguous[4, 2] = True
    identities = [2, 0, 4]
    apart = near = 0.0
    for embedding, own in zip(embeddings, identities, strict=True):
        cosines = [float(embedding @ vector) for vector in vectors]
        others = [math.exp(c / 0.1) for i, c in enumerate(cosines) if not ambiguous[own, i]]
        apart -= math.log(math.exp(cosines[own] / 0.1) / sum(others)) / 3
        near += (1 - cosines[own]) / 3
    got = prototype_terms(embeddings, torch.tensor(identities), Prototypes(vectors, ambiguous), 0.1)
    assert [float(term) for term in got] == pytest.approx([apart, near], rel=1e-5)


def test_the_command_trains_from_pairs_and_leaves_its_log(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(published_modules().state_dict(), tmp_path / "campplus.pt")
    rng = np.random.default_rng(0)
    for singer in ("ann", "ben", "cy"):
        path = tmp_path / "data" / "karaoke" / singer / "01.flac"
        path.parent.mkdir(parents=True)
        soundfile.write(path, 0.1 * rng.standard_normal((32000, 2)), 16000)
    settings = [
        "steps=2",
        "singers=2",
        "crop_s=1.0",
        "teacher_crop_s=1.0",
        "speeds=[1.0]",
        "layers=1",
        "whiten_batches=3",
    ]
    main([str(tmp_path / "data"), str(tmp_path / "campplus.pt"), str(tmp_path / "out"), *settings])
    rows = (tmp_path / "out" / "log.csv").read_text().splitlines()
    assert rows[0] == "step,seconds,contrastive,prototypes,cosine,gradient_norm"
    assert [row.split(",")[0] for row in rows[1:]] == ["1", "2"]
    state = torch.load(tmp_path / "out" / "averaged.pt", weights_only=True)
    # New layers learn; the two-dimensional convolutions stay.
    assert state["blocks.0.attention_out.weight"].abs().max() > 0
    shipped = load(tmp_path / "out" / "encoder").state_dict()
    # It starts at zero, so half way to where training got is half of it.
    half = state["blocks.0.attention_out.weight"] / 2
    torch.testing.assert_close(shipped["blocks.0.attention_out.weight"], half, rtol=1e-2, atol=1e-6)
    assert '"steps": 2' in (tmp_path / "out" / "recipe.json").read_text()


def test_blend_goes_a_part_of_the_way() -> None:
    got = blend({"w": torch.tensor([0.0, 4.0])}, {"w": torch.tensor([2.0, 0.0])}, 0.25)
    torch.testing.assert_close(got["w"], torch.tensor([0.5, 3.0]))


def test_whitening_makes_directions_alike_and_leaves_the_head_linear() -> None:
    torch.manual_seed(0)
    encoder = Encoder(campplus(layers=0)).eval()
    pooled = torch.randn(2000, 1024) * torch.linspace(0.1, 2.0, 1024) + 0.3
    with torch.no_grad():
        before = encoder.head(pooled)
        whiten(encoder, before, power=1.0, ridge=0.0)
        after = encoder.head(pooled)
    assert after.mean(0).abs().max() < 1e-3 * after.std()
    variances = torch.linalg.eigvalsh(torch.cov(after.T))
    was = torch.linalg.eigvalsh(torch.cov(before.T))
    # Lengths differ from crop to crop, so that the directions of unit vectors are alike, not quite those of these.
    assert variances[-1] / variances[0] < 1.2 < 2 < was[-1] / was[0]
