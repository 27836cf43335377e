"""The prototype terms equal literal versions of their formulas."""

import math

import pytest
import torch
import torch.nn.functional as F

from encoder.training.objectives import prototypical


def test_prototype_terms() -> None:
    torch.manual_seed(0)
    prototypes, embeddings = F.normalize(torch.randn(5, 8), dim=1), F.normalize(torch.randn(4, 8), dim=1)
    ambiguous = torch.zeros(5, 5, dtype=torch.bool)
    ambiguous[2, 4] = ambiguous[4, 2] = True
    identities = [2, 0, -3, 4]  # the third has no prototype
    apart, distance = 0.0, 0.0
    for embedding, own in zip(embeddings, identities, strict=True):
        if own < 0:
            continue
        cosines = [float(embedding @ prototype) for prototype in prototypes]
        others = [math.exp(c / 0.1) for i, c in enumerate(cosines) if not ambiguous[own, i]]
        apart -= math.log(math.exp(cosines[own] / 0.1) / sum(others)) / 3
        distance += (1 - cosines[own]) / 3
    whose = torch.tensor(identities)
    assert float(prototypical.prototypical(embeddings, whose, prototypes, ambiguous, 0.1)) == pytest.approx(apart)
    assert float(prototypical.attraction(embeddings, whose, prototypes)) == pytest.approx(distance)


def test_a_margin_is_the_angle_by_which_a_crops_own_prototype_must_be_nearer() -> None:
    torch.manual_seed(0)
    prototypes, embeddings = F.normalize(torch.randn(5, 8), dim=1), F.normalize(torch.randn(3, 8), dim=1)
    whose, plain = torch.tensor([2, 0, 4]), torch.zeros(5, 5, dtype=torch.bool)
    found = prototypical.cross_entropies(embeddings, whose, prototypes, plain, 0.1, margin=0.3)
    for embedding, own, loss in zip(embeddings, whose.tolist(), found.tolist(), strict=True):
        cosines = [float(embedding @ prototype) for prototype in prototypes]
        cosines[own] = math.cos(math.acos(cosines[own]) + 0.3)
        assert loss == pytest.approx(-cosines[own] / 0.1 + math.log(sum(math.exp(c / 0.1) for c in cosines)), rel=1e-4)
    mean = prototypical.prototypical(embeddings, whose, prototypes, plain, 0.1, margin=0.3)
    assert float(mean) == pytest.approx(float(found.mean()))


def test_without_prototypes_the_terms_are_zero() -> None:
    whose = torch.tensor([-1, -2])
    embeddings = F.normalize(torch.randn(2, 8), dim=1).requires_grad_()
    nothing = prototypical.prototypical(embeddings, whose, torch.eye(8), torch.zeros(8, 8, dtype=torch.bool), 0.1)
    nothing.backward()
    assert float(nothing.detach()) == 0
    assert embeddings.grad is not None
    assert not embeddings.grad.any()
