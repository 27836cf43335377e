"""The examples on the page for contributors work: its stage runs, and its separator separates."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "contributing.md").read_text()

STAGE = """
import sys
import numpy as np, soundfile
from jobs.run import STAGES
from pipeline.config import Config
from pipeline.store import provenance, tables
from pipeline.store.workspace import Workspace

config, stage = Config(workspace=sys.argv[1], stages=["loudness"]), STAGES["loudness"]
workspace = Workspace(config.workspace)
soundfile.write("half.wav", np.full((44100, 2), 0.5), 44100)
found = [{"track_id": name, "vocals_uri": f"{name}.wav"} for name in ("half", "gone")]
tables.write(workspace, "vocals", found, "one")
provenance.claim(workspace, config, stage.name)
rows, done = stage.work.pending(workspace)
outcomes = stage.work.worker(config.workspace, *stage.work.settings(config))(rows)
assert done == 0 and sorted(outcomes["status"].to_pylist()) == ["done", "failed"]
[row] = tables.read(workspace, "loudness").to_dict("records")
assert row["track_id"] == "half" and abs(row["peak_db"] + 6.02) < 0.05
assert stage.work.pending(workspace)[1] == 2
"""

SEPARATOR = """
import torch
from pipeline import separators

separators.check("middle")
mix = torch.randn(2, 1_000_000)
vocals = separators.load("middle").separate(mix)
assert torch.allclose(vocals, mix.mean(0).expand(2, -1), atol=1e-6)
"""


@pytest.mark.parametrize("program", [STAGE, SEPARATOR], ids=["stage", "separator"])
def test_the_examples_of_the_page_work(program: str, tmp_path: Path) -> None:
    for room in ("jobs", "pipeline", "encoder"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("*.safetensors", "__pycache__"))
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        (tmp_path / block.splitlines()[0].removeprefix("# ")).write_text(block)
    for difference in re.findall(r"```diff\n(.*?)```", PAGE, re.DOTALL):
        subprocess.run(["git", "apply", "--unidiff-zero", "-"], input=difference, text=True, cwd=tmp_path, check=True)
    command = [sys.executable, "-c", program, str(tmp_path / "workspace")]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
