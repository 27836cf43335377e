"""The BYOL term equals its formula, written out in loops."""

import math

import pytest
from torch import Tensor

from encoder.training.objectives import byol

N = 6


def dot(a: Tensor, b: Tensor) -> float:
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def test_byol(views: tuple[Tensor, Tensor]) -> None:
    first, second = views
    targets = [t.clone().requires_grad_() for t in (second * 2 + 1, first - 3)]
    expected = 0.0
    for prediction, target in ((first, targets[1]), (second, targets[0])):
        for p, z in zip(prediction, target, strict=True):
            expected += (2 - 2 * dot(p, z) / math.sqrt(dot(p, p) * dot(z, z))) / N
    prediction = first.clone().requires_grad_()
    loss = byol.byol(prediction, second, *targets)
    assert float(loss.detach()) == pytest.approx(expected)
    loss.backward()
    assert targets[0].grad is None
    assert prediction.grad is not None
