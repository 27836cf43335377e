"""Configurations: frozen, strict, and refusing what cannot work."""

import pytest
from pydantic import ValidationError

from encoder.config import (
    NO_AUGMENT,
    RECIPES,
    TERMS,
    AugmentConfig,
    EncoderConfig,
    ObjectivesConfig,
    TrainConfig,
    preset,
)


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(ValidationError, match="heads"):
        EncoderConfig(width=100, heads=3)
    with pytest.raises(ValidationError, match="band"):
        EncoderConfig.model_validate({"front_end": {"sample_rate_hz": 16000, "high_hz": 16000}})
    with pytest.raises(ValidationError, match="CAM"):
        EncoderConfig(stem="campplus", width=256)
    with pytest.raises(ValidationError, match="above high"):
        AugmentConfig.model_validate({"gain_db": {"probability": 1, "low": 3, "high": 1}})


def test_unknown_keys_and_changes_are_refused() -> None:
    with pytest.raises(ValidationError, match="extra"):
        EncoderConfig.model_validate({"widht": 64})
    with pytest.raises(ValidationError, match="frozen"):
        preset("tiny").width = 3  # type: ignore[misc]


def test_a_run_needs_something_to_learn_and_a_known_recipe() -> None:
    with pytest.raises(ValidationError, match="weight 0"):
        ObjectivesConfig(contrastive=0)
    with pytest.raises(ValidationError, match="no recipe 'simclr'"):
        TrainConfig(recipe="simclr")
    assert TrainConfig(recipe="byol").terms == RECIPES["byol"]


def test_every_objective_has_a_recipe_that_uses_it() -> None:
    assert {term for term in TERMS for recipe in RECIPES.values() if getattr(recipe, term)} == set(TERMS)


def test_where_a_run_runs_is_not_part_of_its_content() -> None:
    assert TrainConfig(workers=4, gpus=1).content() == TrainConfig().content()
    assert TrainConfig(seed=1).content() != TrainConfig().content()


def test_from_nothing_the_encoder_is_part_of_a_runs_content() -> None:
    assert TrainConfig(init=None).content()["encoder"] == preset("small").model_dump(mode="json")
    assert "encoder" not in TrainConfig().content()


def test_going_on_learns_more_slowly_than_from_nothing() -> None:
    assert TrainConfig(init="default").peak_rate < TrainConfig(init=None).peak_rate
    assert TrainConfig(learning_rate=0.25).peak_rate == 0.25


def test_no_augment_is_none_at_all() -> None:
    assert all(getattr(NO_AUGMENT, name).probability == 0 for name in AugmentConfig.model_fields)
