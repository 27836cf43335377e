"""Optimiser, learning-rate schedule, averaged weights, and the random generator of a step."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from encoder.precision import multiplies_bfloat16
from encoder.training.config import TrainConfig


def rate_factor(name: str, factors: Mapping[str, float]) -> float:
    """Return the factor on a parameter's learning rate: that of the longest key with which its name begins."""
    matching = [beginning for beginning in factors if name.removeprefix("encoder.").startswith(beginning)]
    return factors[max(matching, key=len)] if matching else 1.0


def freeze(learner: nn.Module, factors: Mapping[str, float]) -> None:
    """Freeze the parameters whose learning rate is zero."""
    for name, parameter in learner.named_parameters():
        if rate_factor(name, factors) == 0:
            parameter.requires_grad_(False)


def make_optimiser(learner: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Return AdamW with a group for each learning rate; weight decay acts on matrices and kernels only.

    Besides torch's own keys, each group has a `factor` on the learning rate.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in learner.named_parameters():
        if parameter.requires_grad:
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups[rate_factor(name, config.rate_factors), decay].append(parameter)
    settings = [{"params": p, "weight_decay": decay, "factor": factor} for (factor, decay), p in groups.items()]
    return torch.optim.AdamW(settings, lr=config.peak_rate, betas=(0.9, 0.98), fused=True)


def learning_rate(config: TrainConfig, step: int) -> float:
    """Return the learning rate of a step, counted from 1: linear warm-up, then half a cosine down to zero."""
    if step <= config.warmup:
        return config.peak_rate * step / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.peak_rate * 0.5 * (1 + math.cos(math.pi * done))


@torch.no_grad()
def update_average(averaged: nn.Module, learner: nn.Module, momentum: float, step: int) -> None:
    """Update the exponential moving average of the weights, faster at first so that the initial weights fade."""
    momentum = min(momentum, step / (step + 10))
    for ours, theirs in zip(averaged.parameters(), learner.parameters(), strict=True):
        ours.lerp_(theirs, 1 - momentum)


def seeded(device: torch.device, *numbers: int) -> torch.Generator:
    """Return a random generator that is seeded by these numbers."""
    state = np.random.SeedSequence(numbers).generate_state(2, dtype=np.uint32)
    return torch.Generator(device).manual_seed(int(state[0]) << 31 ^ int(state[1]))


def uses_bfloat16(config: TrainConfig, device: torch.device) -> bool:
    """Return whether to compute in bfloat16; `auto`: where the hardware multiplies it."""
    if config.precision != "auto":
        return config.precision == "bfloat16"
    return multiplies_bfloat16(device)
