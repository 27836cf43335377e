"""A published encoder's card says what it is, what it was trained on and how accurate it is."""

import csv
import json
from pathlib import Path

import encoder
from encoder.config import preset
from encoder.training.card import model_card, publish
from encoder.training.config import TrainConfig
from encoder.training.loop import fit


def test_the_card_names_data_terms_seed_results_and_supervision() -> None:
    train = TrainConfig.model_validate(
        {"recipe": "byol", "seed": 7, "views": {"positives": "singer", "same_singer": "artist"}, "init": None}
    )
    card = model_card("tiny-1234", preset("tiny"), train, 133528, 900, 30, {"held_out_eer": 0.123})
    for said in ("# tiny-1234", "0.1 M", "900 clips of 30 tracks", "byol 1", "seed 7", "12.3%", "artist names"):
        assert said in card
    assert "not measured" in model_card("x", preset("tiny"), TrainConfig(), 1, 1, 1, {"loss": 1.0})


def test_the_card_of_a_training_on_groups_gives_the_error_before_and_after() -> None:
    measured = {"groups": 14, "round": 2, "before": 0.0812, "after": 0.0423}
    card = model_card("x", preset("tiny"), TrainConfig(recipe="groups", use_credits=True), 1, 1, 1, measured)
    for said in ("14 groups", "in round 2", "8.12%", "4.23%", "Artist tags that the voices confirm"):
        assert said in card


def test_a_finished_training_becomes_an_encoder_with_its_log(clips: Path, tmp_path: Path) -> None:
    train = TrainConfig.model_validate(
        {"size": "tiny", "init": None, "steps": 2, "batch": 4, "log_every": 1, "views": {"crop_s": 0.5}}
    )
    fit(train, clips, tmp_path)
    encoder_id = publish(tmp_path / "checkpoint", tmp_path / "encoder", train, 32, 8, training_run="abc")
    assert encoder.load(tmp_path / "encoder").encoder_id == encoder_id
    assert encoder_id in (tmp_path / "encoder" / "README.md").read_text()
    metrics = json.loads((tmp_path / "encoder" / "metrics.json").read_text())
    assert (metrics["training_run"], metrics["n_tracks"], metrics["train"]["steps"]) == ("abc", 8, 2)
    with (tmp_path / "encoder" / "log.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2"]
