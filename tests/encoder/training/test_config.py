"""The configuration of a training: recipes stand for settings, and what cannot work is refused."""

import pytest
from pydantic import ValidationError

from encoder.config import preset
from encoder.training.config import NO_AUGMENT, AugmentConfig, ObjectivesConfig, TrainConfig, merged


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ValidationError, match="above high"):
        AugmentConfig.model_validate({"gain_db": {"probability": 1, "low": 3, "high": 1}})
    with pytest.raises(ValidationError, match="weight 0"):
        ObjectivesConfig(contrastive=0)
    with pytest.raises(ValidationError, match="no recipe 'simclr'"):
        TrainConfig(recipe="simclr")
    with pytest.raises(ValidationError, match="set init"):
        TrainConfig(init=None, blend=0.5)
    with pytest.raises(ValidationError, match="set init"):
        TrainConfig.model_validate({"init": None, "objectives": {"attraction": 1}})


def test_a_recipe_stands_for_settings_and_given_settings_win() -> None:
    byol = TrainConfig.model_validate({"recipe": "byol", "objectives": {"projection": 64}})
    assert byol.objectives == ObjectivesConfig(contrastive=0, byol=1, projection=64)
    assert TrainConfig.model_validate(byol.model_dump()) == byol
    assert TrainConfig(recipe="separated", steps=3).steps == 3
    assert TrainConfig(recipe="separated").steps == 880


def test_given_settings_override_those_of_another_recipe() -> None:
    given = TrainConfig.model_validate({"steps": 5, "objectives": {"temperature": 0.2}})
    assert given.with_recipe("decoupled") == TrainConfig.model_validate(
        {"recipe": "decoupled", "steps": 5, "objectives": {"temperature": 0.2, "decoupled": True}}
    )
    with pytest.raises(ValueError, match="already use the recipe 'byol'"):
        TrainConfig(recipe="byol").with_recipe("dino")


def test_merging_is_key_by_key() -> None:
    assert merged({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 4}, "e": 5}) == {"a": 1, "b": {"c": 4, "d": 3}, "e": 5}


def test_where_a_training_runs_is_not_part_of_its_content() -> None:
    assert TrainConfig(workers=4, gpus=1).content() == TrainConfig().content()
    assert TrainConfig(method="linear").content() == TrainConfig().content()  # the method shapes no network
    assert TrainConfig(seed=1).content() != TrainConfig().content()


def test_without_an_initial_encoder_the_architecture_is_part_of_the_content() -> None:
    assert TrainConfig(init=None).content()["encoder"] == preset("small").model_dump(mode="json")
    assert "encoder" not in TrainConfig().content()


def test_the_learning_rate_is_lower_from_an_encoder_than_from_random_weights() -> None:
    assert TrainConfig(init="default").peak_rate < TrainConfig(init=None).peak_rate
    assert TrainConfig(learning_rate=0.25).peak_rate == 0.25


def test_no_augment_turns_every_augmentation_off() -> None:
    assert all(getattr(NO_AUGMENT, name).probability == 0 for name in AugmentConfig.model_fields)


def test_frames_are_kept_only_if_everything_before_the_pooling_is_frozen() -> None:
    def keeps(**settings: object) -> bool:
        return TrainConfig.model_validate({"recipe": "groups", **settings}).keeps_frames

    assert keeps()
    assert not keeps(rate_factors={"blocks": 1})
    assert not keeps(rate_factors={"stem.dense": 0.1})
    assert not keeps(augment={"gain_db": {"probability": 1}})
    assert not keeps(views={"speeds": [1.0, 1.1]})
    assert not TrainConfig().keeps_frames
    with pytest.raises(ValidationError, match="set init"):
        keeps(init=None, blend=1, objectives={"prototypical": 0, "attraction": 0, "gate": False})
