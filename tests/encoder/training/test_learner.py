"""The heads and the masks."""

import pytest
import torch
import torch.nn.functional as F

from encoder import Encoder
from encoder.config import preset
from encoder.training.config import NO_AUGMENT, ObjectivesConfig, TrainConfig
from encoder.training.learner import Learner
from encoder.training.objectives import masked

RATE = 44100


def terms_of(recipe: str) -> ObjectivesConfig:
    return TrainConfig(recipe=recipe).objectives


def make(terms: ObjectivesConfig) -> Learner:
    torch.manual_seed(0)
    return Learner(Encoder(preset("tiny")), terms, NO_AUGMENT)


def waves() -> tuple[torch.Tensor, torch.Tensor]:
    wave = 0.1 * torch.randn(4, RATE, generator=torch.Generator().manual_seed(0))
    return wave, torch.tensor([RATE, RATE, RATE // 2, RATE])


def test_heads_without_a_term_do_not_exist() -> None:
    plain = make(terms_of("contrastive"))
    assert {name.split(".")[0] for name, _ in plain.named_parameters()} == {"encoder"}
    heads = {name.split(".")[0] for name, _ in make(terms_of("byol")).named_parameters()}
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


def longest(mask: torch.Tensor) -> int:
    """Return the length in frames of the longest hidden stretch in a clip's `mask (frames,)`."""
    edges = torch.diff(mask.int(), prepend=torch.zeros(1, dtype=torch.int), append=torch.zeros(1, dtype=torch.int))
    return int(((edges < 0).nonzero() - (edges > 0).nonzero()).max())


def test_mask_span_is_the_length_of_each_hidden_stretch() -> None:
    found = {}
    for span in (4, 40):
        learner = make(ObjectivesConfig(masked=1, mask_span=span))
        wave, lengths = waves()
        features, n_frames = learner.encoder.features(wave, RATE, lengths)
        features, n_frames = features.repeat(1, 5, 1), n_frames * 5
        _, hidden = learner._hide(features, n_frames, torch.Generator().manual_seed(0))
        found[span] = max(longest(clip) for clip in hidden if clip.any()) * learner.encoder.stride
    assert 4 <= found[4] < 40 <= found[40]


def test_without_a_generator_nothing_is_masked() -> None:
    learner = make(terms_of("contrastive_masked")).eval()
    wave, lengths = waves()
    with torch.no_grad():
        out = learner(wave, lengths, None)
        expected = learner.encoder(wave, RATE, lengths)
    assert out.masked_loss is None
    assert torch.allclose(F.normalize(out.projection, dim=1), expected, atol=1e-5)


def test_masked_prediction_alone_leaves_out_pooling_and_head() -> None:
    trained = {name for name, p in make(terms_of("masked")).named_parameters() if p.requires_grad}
    assert {name.split(".")[1] for name in trained if name.startswith("encoder.")} == {"stem", "blocks", "norm"}
    assert "codes.weight" in trained


def test_rows_of_dinos_last_layer_keep_unit_norm() -> None:
    learner = make(terms_of("dino").model_copy(update={"dino_outputs": 96}))
    assert learner.last_layer is not None
    optimiser = torch.optim.SGD([p for p in learner.parameters() if p.requires_grad], lr=1.0)
    wave, lengths = waves()
    out = learner(wave, lengths, None)
    assert out.logits is not None
    assert out.logits.shape == (4, 96)
    assert float(out.logits.detach().abs().max()) <= 1 + 1e-5
    before = learner.last_layer.weight.detach().clone()
    out.logits.square().sum().backward()
    optimiser.step()
    assert not torch.allclose(learner.last_layer.weight, before, atol=1e-4)
    assert torch.allclose(learner.last_layer.weight.norm(dim=1), torch.ones(96), atol=1e-5)
