"""Which clips are augmented, and by which values."""

import pytest
import torch

from encoder.training.augment.sample import sample
from encoder.training.config import chance


def test_samples_follow_probability_and_range() -> None:
    chosen, values = sample(chance(0.3, 2.0, 5.0), 20000, torch.Generator().manual_seed(0))
    assert float(chosen.float().mean()) == pytest.approx(0.3, abs=0.02)
    assert float(values.min()) >= 2
    assert float(values.max()) <= 5
    assert float(values.mean()) == pytest.approx(3.5, abs=0.05)
