"""Drawing: which clips of a batch an augmentation falls on, and with what value."""

from __future__ import annotations

import torch
from torch import Tensor

from encoder.config import Chance


def draw(chance: Chance, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """-> chosen (batch,) bool, values (batch,) uniform in [low, high]; on the generator's device.

    Always takes the same number of draws, so that changing one augmentation leaves the others' values alone.
    """
    uniform = torch.rand(2, batch, generator=generator, device=generator.device)
    return uniform[0] < chance.probability, chance.low + (chance.high - chance.low) * uniform[1]
