"""Learning-rate schedule, weight decay, averaged weights and seeds."""

import pytest
import torch
from torch import nn

from encoder.precision import multiplies_bfloat16
from encoder.training.config import TrainConfig
from encoder.training.optimise import (
    freeze,
    learning_rate,
    make_optimiser,
    rate_factor,
    seeded,
    update_average,
    uses_bfloat16,
)

CPU = torch.device("cpu")


def test_the_learning_rate_warms_up_and_falls_along_a_cosine() -> None:
    config = TrainConfig(steps=100, warmup=10, learning_rate=1.0)
    assert learning_rate(config, 5) == pytest.approx(0.5)
    assert learning_rate(config, 10) == pytest.approx(1.0)
    assert learning_rate(config, 55) == pytest.approx(0.5)
    assert learning_rate(config, 100) == pytest.approx(0.0)


def test_only_matrices_decay() -> None:
    layer = nn.Linear(3, 2)
    optimiser = make_optimiser(layer, TrainConfig(weight_decay=0.3))
    decay = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    assert decay == {id(layer.weight): 0.3, id(layer.bias): 0.0}


def test_the_average_soon_forgets_the_initial_weights_and_then_moves_slowly() -> None:
    ours, theirs = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    for step, momentum in ((1, 1 / 11), (10, 0.5), (100000, 0.99)):
        nn.init.zeros_(ours.weight)
        nn.init.ones_(theirs.weight)
        update_average(ours, theirs, 0.99, step)
        assert float(ours.weight.detach()) == pytest.approx(1 - momentum, rel=1e-4)


def test_a_generator_depends_on_its_numbers_alone() -> None:
    first, again, other = (torch.rand(4, generator=seeded(CPU, *numbers)) for numbers in ((1, 2), (1, 2), (2, 1)))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_precision_can_be_set() -> None:
    assert uses_bfloat16(TrainConfig(precision="bfloat16"), CPU)
    assert not uses_bfloat16(TrainConfig(precision="float32"), CPU)
    assert uses_bfloat16(TrainConfig(), CPU) == multiplies_bfloat16(CPU)


def test_the_longest_beginning_of_a_name_decides_its_rate() -> None:
    factors = {"stem": 0.5, "stem.conv": 0.0}
    names = ("encoder.stem.conv.weight", "encoder.stem.norm.weight", "codes.weight")
    assert [rate_factor(name, factors) for name in names] == [0.0, 0.5, 1.0]


def test_frozen_parameters_are_not_in_the_optimiser() -> None:
    layers = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    freeze(layers, {"0": 0.0})
    groups = make_optimiser(layers, TrainConfig(rate_factors={"0": 0.0, "1.weight": 3.0})).param_groups
    assert sorted((group["factor"], len(group["params"])) for group in groups) == [(1.0, 1), (3.0, 1)]
