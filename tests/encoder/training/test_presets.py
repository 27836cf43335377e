"""The recipes by name: each is valid, and each objective is used by one."""

from encoder.training.config import TERMS, TrainConfig
from encoder.training.presets import RECIPES


def test_every_objective_has_a_recipe_that_uses_it() -> None:
    used = [TrainConfig(recipe=name).objectives for name in RECIPES]
    assert {term for term in TERMS for objectives in used if getattr(objectives, term)} == set(TERMS)
