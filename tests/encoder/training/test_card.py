"""The model card says what a model is, what it heard and what it reaches."""

from encoder.config import TrainConfig, preset
from encoder.training.card import model_card


def test_it_says_data_recipe_seed_numbers_and_supervision() -> None:
    train = TrainConfig.model_validate(
        {"recipe": "byol", "seed": 7, "views": {"positives": "singer", "same_singer": "artist"}, "init": None}
    )
    card = model_card("tiny-1234", preset("tiny"), train, 133528, 900, 30, {"held_out_eer": 0.123})
    for said in ("# tiny-1234", "0.1 M", "900 clips of 30 tracks", "byol 1", "seed 7", "12.3%", "artist names"):
        assert said in card
    assert "not measured" in model_card("x", preset("tiny"), TrainConfig(), 1, 1, 1, {"loss": 1.0})
