"""The VICReg terms equal their formulas, written out in loops."""

import math

import pytest
from torch import Tensor

from encoder.training.objectives import vicreg

N, DIM = 6, 5


def test_vicreg(views: tuple[Tensor, Tensor]) -> None:
    first, second = views
    squared = [sum(float(a - b) ** 2 for a, b in zip(x, y, strict=True)) for x, y in zip(first, second, strict=True)]
    assert float(vicreg.invariance(first, second)) == pytest.approx(sum(squared) / N)
    means = [sum(float(x[d]) for x in first) / N for d in range(DIM)]
    cov = [
        [sum((float(x[i]) - means[i]) * (float(x[j]) - means[j]) for x in first) / (N - 1) for j in range(DIM)]
        for i in range(DIM)
    ]
    hinge = [max(0.0, 1 - math.sqrt(cov[d][d] + 1e-4)) for d in range(DIM)]
    assert float(vicreg.variance(first)) == pytest.approx(sum(hinge) / DIM)
    off = sum(cov[i][j] ** 2 for i in range(DIM) for j in range(DIM) if i != j)
    assert float(vicreg.covariance(first)) == pytest.approx(off / DIM)
