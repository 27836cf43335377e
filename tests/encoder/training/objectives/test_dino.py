"""The DINO term equals its formula, written out in loops."""

import math

import pytest
import torch
from torch import Tensor

from encoder.training.objectives import dino

N, DIM = 6, 5


def test_dino(views: tuple[Tensor, Tensor]) -> None:
    s1, s2 = views
    t1, t2 = s1.flip(1) * 0.1, s2.flip(0) * 0.1
    centre = torch.arange(DIM, dtype=torch.float64) / 50

    def softmax(row: list[float]) -> list[float]:
        total = sum(math.exp(x) for x in row)
        return [math.exp(x) / total for x in row]

    expected = 0.0
    for student, teacher in ((s1, t2), (s2, t1)):
        for s, t in zip(student, teacher, strict=True):
            target = softmax([(float(x) - float(c)) / 0.04 for x, c in zip(t, centre, strict=True)])
            given = softmax([float(x) / 0.1 for x in s])
            expected -= sum(a * math.log(b) for a, b in zip(target, given, strict=True)) / (2 * N)
    assert float(dino.dino(s1, s2, t1, t2, centre)) == pytest.approx(expected)
    moved = dino.update_centre(centre, t1, momentum=0.9)
    assert torch.allclose(moved, 0.9 * centre + 0.1 * t1.mean(0))
