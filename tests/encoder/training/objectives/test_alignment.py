"""The alignment terms equal their formulas, written out in loops."""

import math

import pytest
import torch.nn.functional as F
from torch import Tensor

from encoder.training.objectives import alignment

N = 6


def test_alignment_and_uniformity(views: tuple[Tensor, Tensor]) -> None:
    first, second = (F.normalize(view, dim=1) for view in views)
    distances = [sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) for x, y in zip(first, second, strict=True)]
    assert float(alignment.alignment(first, second)) == pytest.approx(float(sum(distances)) / N)
    pairs = [math.exp(-2 * float(((first[i] - first[j]) ** 2).sum())) for i in range(N) for j in range(N) if i < j]
    assert float(alignment.uniformity(first)) == pytest.approx(math.log(sum(pairs) / len(pairs)))
