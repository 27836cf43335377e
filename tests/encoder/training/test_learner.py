"""The heads, the masks and the sum of the terms."""

import pytest
import torch
import torch.nn.functional as F

from encoder import Encoder
from encoder.config import NO_AUGMENT, RECIPES, ObjectivesConfig, preset
from encoder.training.learner import Learner, Memory, Outputs, loss_terms
from encoder.training.objectives import masked

RATE = 44100


def make(terms: ObjectivesConfig) -> Learner:
    torch.manual_seed(0)
    return Learner(Encoder(preset("tiny")), terms, NO_AUGMENT)


def waves() -> tuple[torch.Tensor, torch.Tensor]:
    wave = 0.1 * torch.randn(4, RATE, generator=torch.Generator().manual_seed(0))
    return wave, torch.tensor([RATE, RATE, RATE // 2, RATE])


def test_heads_without_a_term_do_not_exist() -> None:
    plain = make(RECIPES["contrastive"])
    assert {name.split(".")[0] for name, _ in plain.named_parameters()} == {"encoder"}
    heads = {name.split(".")[0] for name, _ in make(RECIPES["byol"]).named_parameters()}
    assert heads == {"encoder", "projector", "predictor"}


def test_masked_frames_are_wholly_hidden_and_their_codes_are_of_the_clean_sound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learner = make(ObjectivesConfig(masked=1, mask_start=0.05))
    seen = {}

    def spy(features: torch.Tensor, mask: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        seen["clean"], seen["mask"] = features, mask
        return torch.where(mask[..., None], 0.0, features)

    monkeypatch.setattr(masked, "apply_mask", spy)
    wave, lengths = waves()
    out = learner(wave, lengths, torch.Generator().manual_seed(0))
    assert out.masked_count is not None
    frames = seen["mask"].shape[1] // 4 * 4
    groups = seen["mask"][:, :frames].reshape(4, -1, 4)
    assert (groups.all(2) == groups.any(2)).all()
    assert int(out.masked_count) >= int(groups.all(2).sum())
    assert int(out.masked_count) > 0


def test_without_a_generator_nothing_is_masked() -> None:
    learner = make(RECIPES["contrastive_masked"]).eval()
    wave, lengths = waves()
    with torch.no_grad():
        out = learner(wave, lengths, None)
        expected = learner.encoder(wave, RATE, lengths)
    assert out.masked_loss is None
    assert torch.allclose(F.normalize(out.projection, dim=1), expected, atol=1e-5)


def test_the_queue_keeps_the_newest_and_serves_as_negatives() -> None:
    terms = RECIPES["queue"].model_copy(update={"queue": 3})
    memory = Memory(terms, 2)
    assert memory.past() is None
    memory.remember(torch.tensor([[1.0, 0], [2, 0]]), torch.tensor([1, 2]))
    memory.remember(torch.tensor([[3.0, 0], [4, 0]]), torch.tensor([3, 4]))
    past = memory.past()
    assert past is not None
    assert past[0][:, 0].tolist() == [3, 4, 1]
    assert past[1].tolist() == [3, 4, 1]


def test_the_queue_holds_what_the_averaged_encoder_says() -> None:
    terms = RECIPES["queue"].model_copy(update={"queue": 4})
    memory = Memory(terms, 2)
    ours, averaged = Outputs(torch.tensor([[1.0, 0], [0, 1], [1, 0], [0, 1]])), Outputs(torch.eye(4)[:, :2] + 3.0)
    loss_terms(ours, averaged, torch.tensor([5, 6]), terms, memory)
    past = memory.past()
    assert past is not None
    assert torch.allclose(past[0], F.normalize(averaged.projection[:2], dim=1))
    assert past[1].tolist() == [5, 6]


def test_dinos_centre_moves_with_the_teacher() -> None:
    learner, terms = make(RECIPES["dino"]), RECIPES["dino"]
    memory = Memory(terms, terms.projection)
    wave, lengths = waves()
    with torch.no_grad():
        out = learner(wave, lengths, None)
        values = loss_terms(out, out, torch.tensor([0, 1]), terms, memory)
    assert set(values) == {"dino"}
    assert out.prototypes is not None
    assert torch.allclose(memory.centre, 0.1 * out.prototypes.mean(0), atol=1e-6)
