"""The comparison of recipes keeps the singers that it measures out of training, and reports each recipe."""

import re

import pandas as pd
import pytest

from encoder.training.presets import RECIPES
from jobs.bench import recipes as bench_recipes
from pipeline.store import tables
from pipeline.store.errors import ConfigError
from tests.jobs.test_train import FAST, write_clips


@pytest.fixture
def known(workspace, tmp_path):
    write_clips(workspace)
    files = [{"uri": f"/music/{track}.flac", "track_id": f"{track}"} for track in range(8)]
    tables.write(workspace, "files", files, "all")
    path = tmp_path / "known.csv"
    tracks = [f"/music/{track}.flac" for track in range(4)]
    pd.DataFrame({"track": tracks, "vocalist": ["a", "a", "b", "b"]}).to_csv(path)
    return str(path)


def test_known_singers_are_measured_and_not_trained_on(make_config, workspace, known):
    clips, measured, whose = bench_recipes.split(make_config(known=known), workspace)
    assert {row.track_id for row in clips.rows} == {"4", "5", "6", "7"}
    assert {row.track_id for row in measured.rows} == {"0", "1", "2", "3"}
    named = {row.track_id: name for row, name in zip(measured.rows, whose, strict=True)}
    assert named == {"0": "a", "1": "a", "2": "b", "3": "b"}


def test_every_recipe_has_a_row(make_config, known, monkeypatch, capsys):
    monkeypatch.setattr(bench_recipes, "RECIPES", {name: RECIPES[name] for name in ("contrastive", "byol")})
    config = make_config(known=known, train=FAST | {"steps": 2, "recipe": None})
    assert bench_recipes.work(config) == 0
    rows = re.findall(r"^\| (\w+) \| ([\d.]+)% \|", capsys.readouterr().out, re.MULTILINE)
    assert [name for name, _ in rows] == ["contrastive", "byol"]
    assert all(0 <= float(eer) <= 100 for _, eer in rows)


def test_a_recipe_that_fails_does_not_stop_the_others(make_config, known, monkeypatch, capsys):
    names = ("vicreg", "separated", "contrastive")
    monkeypatch.setattr(bench_recipes, "RECIPES", {name: RECIPES[name] for name in names})
    real = bench_recipes.trained

    def trained(train, clips):
        if train.recipe == "vicreg":
            raise bench_recipes.TrainingStopped("step 1: the loss is nan")
        return real(train, clips)

    monkeypatch.setattr(bench_recipes, "trained", trained)
    assert bench_recipes.work(make_config(known=known, train=FAST | {"steps": 2, "recipe": None})) == 0
    out = capsys.readouterr().out
    assert "| vicreg | step 1: the loss is nan |" in out
    assert re.search(r"\| separated \| .*set init", out)
    assert re.search(r"\| contrastive \| [\d.]+% \|", out)


def test_without_two_known_singers_it_says_what_to_do(make_config, workspace, known, tmp_path):
    with pytest.raises(ConfigError, match=r"known=known\.csv"):
        bench_recipes.split(make_config(), workspace)
    one = tmp_path / "one.csv"
    pd.DataFrame({"track": ["/music/1.flac"], "vocalist": ["a"]}).to_csv(one)
    with pytest.raises(ConfigError, match="takes two"):
        bench_recipes.split(make_config(known=str(one)), workspace)
