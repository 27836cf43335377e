"""Sampling: which clips of a batch an augmentation is applied to, and with what value."""

from __future__ import annotations

import torch
from torch import Tensor

from encoder.training.config import Chance


def sample(chance: Chance, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sample from a `Chance` for each clip, on the generator's device.

    As many random numbers are used whatever its probability, so that changing one augmentation does not change the
    values of the others.

    Returns:
        Chosen (batch,) bool, and values (batch,) uniform in [low, high].
    """
    uniform = torch.rand(2, batch, generator=generator, device=generator.device)
    return uniform[0] < chance.probability, chance.low + (chance.high - chance.low) * uniform[1]
