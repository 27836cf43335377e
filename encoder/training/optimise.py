"""How weights move: optimiser, schedule, their average, and what fixes the randomness of a step."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from encoder.config import TrainConfig
from encoder.precision import multiplies_bfloat16


def make_optimiser(learner: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW; weight decay on matrices and kernels only, not on biases, scales and shifts."""
    decayed = [p for p in learner.parameters() if p.ndim > 1]
    others = [p for p in learner.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.peak_rate, betas=(0.9, 0.98), fused=True)


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, then half a cosine down to zero at the last step; steps count from 1."""
    if step <= config.warmup:
        return config.peak_rate * step / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.peak_rate * 0.5 * (1 + math.cos(math.pi * done))


@torch.no_grad()
def update_average(averaged: nn.Module, learner: nn.Module, momentum: float, step: int) -> None:
    """Exponential moving average of the weights; quicker at the start, so that it forgets the initial ones."""
    momentum = min(momentum, step / (step + 10))
    for ours, theirs in zip(averaged.parameters(), learner.parameters(), strict=True):
        ours.lerp_(theirs, 1 - momentum)


def seeded(device: torch.device, *numbers: int) -> torch.Generator:
    """A generator fixed by the numbers alone."""
    state = np.random.SeedSequence(numbers).generate_state(2, dtype=np.uint32)
    return torch.Generator(device).manual_seed(int(state[0]) << 31 ^ int(state[1]))


def uses_bfloat16(config: TrainConfig, device: torch.device) -> bool:
    """`auto`: where the hardware multiplies it."""
    if config.precision != "auto":
        return config.precision == "bfloat16"
    return multiplies_bfloat16(device)
