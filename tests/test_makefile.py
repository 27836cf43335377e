"""Variables given to make reach the command literally."""

import argparse
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import engine
from pipeline.config import STAGES, Config, load

ROOT = Path(__file__).parents[1]
ECHO = shlex.join([sys.executable, "-c", "import json, sys; print(json.dumps(sys.argv[1:]))"])
ODD = [
    "My Music",
    "a #1 hits",
    "Rock & Roll; more|less",
    'it\'s "this"',
    "A$AP $(HOME) `id`",
    "s3://bucket/a?x=1&y=2",
    "[2001] *.mp3",
    "a, b (c) \\ 100%",
    "~/Müsik",
]


def arguments(target: str, **given: str) -> list[str]:
    """Return the arguments with which `make target NAME=value …` runs a Python module."""
    made = subprocess.run(
        ["make", "-s", "-o", "setup", target, f"RUN={ECHO}", *(f"{k}={v}" for k, v in given.items())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(made.stdout)


def config_of(words: list[str]) -> Config:
    parser = argparse.ArgumentParser()
    engine.add_config_arguments(parser)
    read = parser.parse_args(words)
    return load(read.config, [*read.overrides, *read.set])


@pytest.mark.parametrize("odd", ODD)
def test_every_variable_takes_any_character(odd, tmp_path):
    (tmp_path / odd.replace("/", "|")).write_text("seed: 7")
    module, *words = arguments(
        "run",
        CONFIG=str(tmp_path / odd.replace("/", "|")),
        CATALOGUE=odd,
        KNOWN=odd,
        WORKSPACE=odd,
        SET=f"seed=8 embed.encoder={shlex.quote(odd)}",
    )
    config = config_of(words)
    assert module == "jobs.run"
    assert (config.catalogue, config.known, config.workspace, config.embed.encoder, config.seed) == (*[odd] * 4, 8)
    address, stage = arguments("submit-scan", RAY_ADDRESS=odd)[2:4]
    assert (address, stage) == (odd, "scan")
    assert arguments("results", AUDIO=odd, WORKSPACE=odd) == ["jobs.bench.results", odd, "--workspace", odd]
    assert arguments("bench-embed", AUDIO=odd) == ["jobs.bench.embed", "--audio", odd]


def test_evaluate_and_its_job_take_a_folder_of_recordings():
    for target in ("evaluate", "submit-evaluate"):
        words = arguments(target, AUDIO="My Music", SET="seed=3")
        config = config_of(words[words.index("configs/local.yaml") :])
        assert (config.evaluate.audio, config.workspace, config.seed) == ("My Music", "workspace/evaluation", 3)
    config = config_of(arguments("evaluate", AUDIO="My Music", WORKSPACE="w")[1:])
    assert config.workspace == "w"


def test_without_variables_the_only_argument_is_the_config():
    assert arguments("scan") == ["jobs.scan", "configs/local.yaml"]
    assert arguments("demo") == ["jobs.demo", "configs/demo.yaml"]


def test_the_interpreter_may_be_anywhere(tmp_path):
    python = tmp_path / "my python" / "it's"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    shown = subprocess.run(
        ["make", "-n", "setup", f"PYTHON={python}", f"VENV={tmp_path / 'none'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"{shlex.quote(str(python))} -m venv" in shown.replace("'\\''", "'\"'\"'")


def test_help_lists_every_target():
    told = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^([a-z][a-z-]*): ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {*targets, *STAGES} - set(told.split()) == set()
