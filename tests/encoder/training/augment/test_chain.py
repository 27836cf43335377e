"""All augmentations together, and each alone through the chain."""

from typing import Any

import pytest
import torch
from torch import Tensor

from encoder.training.augment.chain import augment
from encoder.training.config import NO_AUGMENT, AugmentConfig

RATE = 44100
ELSEWHERE = ("time_mask_s", "frequency_mask", "codec")  # on features, and while loading


@pytest.fixture
def batch(measure: Any) -> tuple[Tensor, Tensor, Tensor]:
    views = torch.cat([measure.voice(150.0 + 20 * i, 0.5) for i in range(4)])
    return views, torch.tensor([22050, 22050, 20000, 22050]), torch.tensor([7, 8])


def test_the_chain_depends_on_its_seeds_alone_and_leaves_its_input_unchanged(
    batch: tuple[Tensor, Tensor, Tensor],
) -> None:
    waves, lengths, identities = batch
    before = waves.clone()
    config = AugmentConfig()
    outs = [augment(waves, lengths, identities, RATE, config, torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(outs[0][0], outs[1][0])
    assert not torch.equal(outs[0][0], outs[2][0])
    assert torch.equal(waves, before)
    for wave, length in zip(outs[0][0], outs[0][1], strict=True):
        assert torch.isfinite(wave).all()
        assert wave[int(length) :].abs().sum() == 0


@pytest.mark.parametrize(
    "name", [n for n in AugmentConfig.model_fields if n not in ("time_mask_s", "frequency_mask", "codec")]
)
def test_each_augmentation_alone_changes_what_it_should(name: str, batch: tuple[Tensor, Tensor, Tensor]) -> None:
    waves, lengths, identities = batch
    usual = getattr(AugmentConfig(), name)
    config = NO_AUGMENT.model_copy(update={name: usual.model_copy(update={"probability": 1.0})})
    waves = waves * (torch.arange(waves.shape[1]) < lengths[:, None])
    out, new_lengths, new_identities = augment(
        waves, lengths, identities, RATE, config, torch.Generator().manual_seed(3)
    )
    assert not torch.allclose(out, waves, atol=1e-3)
    assert torch.equal(new_lengths, lengths) == (name != "stretch")
    if name == "pseudo_singer":
        assert (new_identities < 0).all()
        assert len(set(new_identities.tolist())) == 2
    else:
        assert torch.equal(new_identities, identities)
    nothing, _, _ = augment(waves, lengths, identities, RATE, NO_AUGMENT, torch.Generator().manual_seed(3))
    assert torch.equal(nothing, waves)
