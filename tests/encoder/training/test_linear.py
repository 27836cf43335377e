import json

import numpy as np
import torch

import encoder
from encoder import Encoder
from encoder.config import preset
from encoder.training import linear

MEASURED = {"clips": 900, "tracks": 50, "groups": 12, "before": 0.031, "after": 0.024}


def start() -> Encoder:
    """Return a tiny encoder with random weights."""
    torch.manual_seed(0)
    return Encoder(preset("tiny")).eval()


def test_a_mapped_encoder_returns_the_encoders_vectors_times_the_map():
    model, wave = start(), 0.1 * torch.randn(3, 16000)
    matrix = np.random.default_rng(0).normal(size=(model.dim, model.dim))
    with torch.no_grad():
        before, after = model(wave, 16000).double().numpy(), linear.mapped(model, matrix)(wave, 16000).numpy()
    expected = before @ matrix
    np.testing.assert_allclose(after, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-4)


def test_a_published_encoder_loads_like_any_other(tmp_path):
    model, matrix = start(), np.diag(np.linspace(0.5, 2, 64))
    encoder_id = linear.publish(model, matrix, tmp_path / "e", MEASURED, use_credits=True)
    assert encoder.load(tmp_path / "e").encoder_id == encoder_id
    card = (tmp_path / "e" / "README.md").read_text()
    assert "12 groups" in card and "3.10%" in card and "2.40%" in card and "artist tags" in card
    found = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert found["start"] == model.encoder_id and found["groups"] == 12
