"""Each objective against its formula written out in loops."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from encoder.objectives import alignment, byol, contrastive, dino, masked, vicreg

N, DIM, T = 6, 5, 0.2


@pytest.fixture
def views() -> tuple[Tensor, Tensor]:
    x = torch.randn(2, N, DIM, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return x[0], x[1]


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


def test_alignment_and_uniformity(views: tuple[Tensor, Tensor]) -> None:
    first, second = (F.normalize(view, dim=1) for view in views)
    distances = [sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) for x, y in zip(first, second, strict=True)]
    assert float(alignment.alignment(first, second)) == pytest.approx(float(sum(distances)) / N)
    pairs = [math.exp(-2 * float(((first[i] - first[j]) ** 2).sum())) for i in range(N) for j in range(N) if i < j]
    assert float(alignment.uniformity(first)) == pytest.approx(math.log(sum(pairs) / len(pairs)))


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


def test_codes_are_the_nearest_in_angle() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 7, 3, generator=generator)
    projection = torch.randn(6, 4, generator=generator)
    codebook = F.normalize(torch.randn(10, 4, generator=generator), dim=1)
    found = masked.quantise(features, 2, projection, codebook)
    assert found.shape == (2, 4)
    for clip in range(2):
        for place in range(3):
            stack = torch.cat([features[clip, 2 * place], features[clip, 2 * place + 1]]) @ projection
            stack = stack / stack.norm()
            distances = [float((stack - code).norm()) for code in codebook]
            assert int(found[clip, place]) == distances.index(min(distances))


def test_masked_prediction_counts_masked_frames_only() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 5, generator=generator)
    codes = torch.randint(5, (2, 4), generator=generator)
    mask = torch.tensor([[True, False, False, True], [False, False, True, False]])
    loss, count = masked.masked_prediction(logits, codes, mask)
    expected = 0.0
    for clip, place in ((0, 0), (0, 3), (1, 2)):
        row = logits[clip, place]
        expected -= float(row[codes[clip, place]]) - math.log(sum(math.exp(float(x)) for x in row))
    assert int(count) == 3
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_spans_stay_inside_clips_and_noise_stands_where_they_are() -> None:
    generator = torch.Generator().manual_seed(0)
    n_frames = torch.tensor([200, 50])
    mask = masked.mask_spans(n_frames, 200, 0.02, 10, generator)
    assert not mask[1, 50:].any()
    assert 0.05 < float(mask[0].float().mean()) < 0.5
    edges = mask[0].int().diff().nonzero().flatten()
    assert len(edges) > 0
    features = torch.full((2, 200, 3), 7.0)
    out = masked.apply_mask(features, mask, generator)
    assert (out[~mask] == 7).all()
    assert 0.05 < float(out[mask].std()) < 0.2
