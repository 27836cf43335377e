"""The sum of the terms, and the state kept between steps."""

import math

import pytest
import torch
import torch.nn.functional as F

from encoder.training.config import ObjectivesConfig, TrainConfig
from encoder.training.learner import Outputs
from encoder.training.loss import Memory, loss_terms
from encoder.training.prototypes import Prototypes


def terms_of(recipe: str) -> ObjectivesConfig:
    return TrainConfig(recipe=recipe).objectives


def test_the_queue_keeps_the_newest_and_serves_as_negatives() -> None:
    terms = terms_of("queue").model_copy(update={"queue": 3})
    memory = Memory(terms, 2)
    assert memory.past() is None
    memory.remember(torch.tensor([[1.0, 0], [2, 0]]), torch.tensor([1, 2]))
    memory.remember(torch.tensor([[3.0, 0], [4, 0]]), torch.tensor([3, 4]))
    past = memory.past()
    assert past is not None
    assert past[0][:, 0].tolist() == [3, 4, 1]
    assert past[1].tolist() == [3, 4, 1]


def test_the_queue_holds_vectors_of_the_averaged_encoder() -> None:
    terms = terms_of("queue").model_copy(update={"queue": 4})
    memory = Memory(terms, 2)
    ours, averaged = Outputs(torch.tensor([[1.0, 0], [0, 1], [1, 0], [0, 1]])), Outputs(torch.eye(4)[:, :2] + 3.0)
    loss_terms(ours, averaged, torch.tensor([5, 6]), terms, memory)
    past = memory.past()
    assert past is not None
    assert torch.allclose(past[0], F.normalize(averaged.projection[:2], dim=1))
    assert past[1].tolist() == [5, 6]


def test_dinos_centre_moves_with_the_teacher() -> None:
    terms = terms_of("dino")
    memory = Memory(terms, terms.projection)
    out = Outputs(torch.randn(4, 8), logits=torch.randn(4, 512))
    values = loss_terms(out, out, torch.tensor([0, 1]), terms, memory)
    assert set(values) == {"dino"}
    assert out.logits is not None
    assert torch.allclose(memory.centre, 0.1 * out.logits.mean(0), atol=1e-6)


def test_masked_prediction_alone_needs_no_embedding() -> None:
    terms = terms_of("masked")
    out = Outputs(torch.full((4, 8), torch.nan), masked_loss=torch.tensor(6.0), masked_count=torch.tensor(4))
    values = loss_terms(out, None, torch.tensor([0, 1]), terms, Memory(terms, 8))
    assert {name: float(value) for name, value in values.items()} == {"masked": 1.5}


def test_both_views_are_attracted_to_their_singers_prototype() -> None:
    terms = ObjectivesConfig(contrastive=0, prototypical=1, attraction=1)
    prototypes = Prototypes(torch.eye(3), torch.zeros(3, 3, dtype=torch.bool))
    out = Outputs(torch.tensor([[0.0, 5, 0], [0, 0, 2], [0, 3, 0], [1, 0, 0]]))
    values = loss_terms(out, None, torch.tensor([1, 2]), terms, Memory(terms, 3), prototypes)
    # Three of the four views lie on their own prototype, the fourth on another one.
    assert float(values["attraction"]) == pytest.approx(0.25)
    near, far = math.log(1 + 2 * math.exp(-10)), math.log(2 + math.exp(10))
    assert float(values["prototypical"]) == pytest.approx((3 * near + far) / 4, rel=1e-5)


def test_the_gate_leaves_out_pairs_that_are_unlike_their_singer() -> None:
    terms = ObjectivesConfig(contrastive=1, prototypical=1, gate=True)
    prototypes = Prototypes(torch.eye(8), torch.zeros(8, 8, dtype=torch.bool))
    memory, whose = Memory(terms, 8), torch.arange(8).repeat(8)
    noise = torch.Generator().manual_seed(0)

    def step(said: torch.Tensor) -> dict[str, torch.Tensor]:
        sung = torch.eye(8)[whose].repeat(2, 1) + 0.2 * torch.randn(128, 8, generator=noise)
        return loss_terms(Outputs(sung), None, said, terms, memory, prototypes)

    wrong = whose.clone()
    wrong[:6] = (whose[:6] + 1) % 8
    early = [float(step(wrong)["prototypical"]) for _ in range(4)]
    assert min(early) > 0.5
    for _ in range(8):
        step(wrong)
    assert int(memory.n_losses) == 12 * 64
    late = step(wrong)
    assert float(late["prototypical"]) < 0.1 * min(early)
    assert torch.isfinite(late["contrastive"])
    again = Memory(terms, 8)
    again.load_state_dict(memory.state_dict())
    assert torch.equal(again.losses, memory.losses)
