"""Gain, mixing at a ratio, clipping."""

from typing import Any

import pytest
import torch

from encoder.training.augment import level

RATE = 44100


def test_levels(measure: Any) -> None:
    wave = measure.voice(200.0, 1.0)
    lengths = torch.tensor([RATE])
    louder = wave * level.db_to_gain(torch.tensor([6.0206]))[:, None]
    assert torch.allclose(louder, 2 * wave, atol=1e-4)
    other = torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))
    mixed = level.add_at(wave, other, lengths, torch.tensor([12.0]))
    residue = mixed - wave
    assert float(10 * (wave.square().sum() / residue.square().sum()).log10()) == pytest.approx(12, abs=0.01)
    clipped = level.clip(wave, lengths, torch.tensor([0.01]))
    share = float((clipped.abs() >= clipped.abs().max()).float().mean())
    assert share == pytest.approx(0.01, abs=0.002)
    untouched = wave.abs() < clipped.abs().max()
    assert torch.equal(clipped[untouched], wave[untouched])
