"""The contrastive terms equal their formulas, written out in loops."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from encoder.training.objectives import contrastive

N, DIM, T = 6, 5, 0.2


def dot(a: Tensor, b: Tensor) -> float:
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def literal_nt_xent(
    first: Tensor, second: Tensor, singers: list[int], decoupled: bool, queue: list[tuple[Tensor, int]]
) -> float:
    clips = [(v, s, i) for view in (first, second) for i, (v, s) in enumerate(zip(view, singers, strict=True))]
    total = 0.0
    for place, (anchor, singer, number) in enumerate(clips):
        positive = next(v for other, (v, _, i) in enumerate(clips) if i == number and other != place)
        negatives = [v for v, s, _ in clips if s != singer] + [v for v, s in queue if s != singer]
        denominator = sum(math.exp(dot(anchor, v) / T) for v in negatives)
        numerator = math.exp(dot(anchor, positive) / T)
        total -= math.log(numerator / (denominator if decoupled else denominator + numerator))
    return total / len(clips)


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("queued", [False, True])
def test_nt_xent(views: tuple[Tensor, Tensor], decoupled: bool, queued: bool) -> None:
    first, second = (F.normalize(view, dim=1) for view in views)
    singers = [0, 1, 2, 2, 3, 4]  # clips 2 and 3 share a singer
    past = F.normalize(torch.randn(3, DIM, dtype=torch.float64), dim=1)
    queue = [(past[0], 1), (past[1], 9), (past[2], 2)] if queued else []
    found = contrastive.nt_xent(
        first, second, torch.tensor(singers), T, decoupled, (past, torch.tensor([1, 9, 2])) if queued else None
    )
    assert float(found) == pytest.approx(literal_nt_xent(first, second, singers, decoupled, queue))


def test_nt_xent_never_pushes_recordings_of_one_singer_apart(views: tuple[Tensor, Tensor]) -> None:
    first, second = (F.normalize(view, dim=1).requires_grad_() for view in views)
    loss = contrastive.nt_xent(first, second, torch.zeros(N, dtype=torch.int64), T)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0)
    assert first.grad is not None
    assert first.grad.abs().max() == 0
