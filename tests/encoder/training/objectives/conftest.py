"""Two views of a few recordings."""

import pytest
import torch
from torch import Tensor


@pytest.fixture
def views() -> tuple[Tensor, Tensor]:
    """Return two (6, 5) tensors, not normalised, in double precision."""
    x = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return x[0], x[1]
