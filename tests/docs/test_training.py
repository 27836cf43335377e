"""The examples on the training page work: its Python runs, and an encoder trains with its objective."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from encoder.training.config import TERMS
from encoder.training.presets import RECIPES
from tests.encoder.conftest import make_clips as make_clips

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "training.md").read_text()
BARLOW = "# encoder/training/objectives/barlow.py\n"

TRAIN = """
import csv, sys
from encoder.training.config import TrainConfig
from encoder.training.loop import fit
from encoder.training.objectives import barlow
assert barlow.__file__.startswith(sys.argv[2])
settings = {"recipe": "barlow", "size": "tiny", "init": None, "steps": 2, "batch": 8, "log_every": 1}
fit(TrainConfig.model_validate(settings | {"views": {"crop_s": 0.5}}), sys.argv[1], "out")
assert all(float(row["barlow"]) > 0 for row in csv.DictReader(open("out/log.csv")))
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_an_encoder_is_added_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for block in blocks("python"):
        if not block.startswith(BARLOW):
            path = tmp_path / "snippet.py"  # TorchScript reads the source of what it compiles
            path.write_text(block)
            exec(compile(block, str(path), "exec"), namespace)
    assert (tmp_path / "brightness.ts").is_file()
    assert (tmp_path / "my-encoder" / "model.safetensors").is_file()


def test_an_objective_is_added_as_the_page_says(make_clips: Callable[..., Path], tmp_path: Path) -> None:
    clips = make_clips()
    shutil.copytree(ROOT / "encoder", tmp_path / "encoder", ignore=shutil.ignore_patterns("default", "__pycache__"))
    [objective] = [block for block in blocks("python") if block.startswith(BARLOW)]
    (tmp_path / "encoder/training/objectives/barlow.py").write_text(objective)
    [difference] = blocks("diff")
    subprocess.run(["git", "apply", "-"], input=difference, text=True, cwd=tmp_path, check=True)
    command = [sys.executable, "-c", TRAIN, str(clips), str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_page_names_every_recipe() -> None:
    named = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert set(RECIPES) - {"separated", "groups"} <= named
    assert "the recipe `separated`" in PAGE and "train.recipe=groups" in PAGE
    assert "barlow" not in TERMS  # it is only an example
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / link).resolve().exists(), link
