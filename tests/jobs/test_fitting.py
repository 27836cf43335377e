"""Training under Ray Train: a driver that is killed or interrupted, and checkpoints that are no longer needed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs import engine, fitting
from pipeline.config import Config
from pipeline.store.errors import ConfigError
from pipeline.store.workspace import Workspace
from tests.jobs.test_train import FAST, log_of, trained, write_clips

ROOT = Path(__file__).resolve().parents[2]


def configured(make_config: Callable[..., Config], workspace: Workspace, **settings: int) -> None:
    """Write config.yaml with train settings, and clips into its workspace."""
    write_clips(workspace)
    make_config(train=FAST | settings, shard={"sample_rate_hz": 44100})


@pytest.mark.slow
def test_after_a_killed_driver_the_same_command_continues(
    make_config: Callable[..., Config], workspace: Workspace, tmp_path: Path
) -> None:
    configured(make_config, workspace, steps=12, checkpoint_every=3)
    command = [sys.executable, "-m", "jobs.train", str(tmp_path / "config.yaml")]
    first = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    runs = Path(workspace.path("encoders/_training"))
    until = time.monotonic() + 240
    # Ray Train continues from its snapshot, which it writes after a checkpoint exists.
    while not list(runs.glob("*/checkpoint_manager_snapshot.json")):
        assert first.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    assert "step 1 " not in second.stdout
    assert "step 12 " in second.stdout
    assert [row["step"] for row in log_of(workspace, trained(workspace))] == [str(i) for i in range(1, 13)]


@pytest.mark.slow
def test_ctrl_c_ends_a_training_as_it_ends_any_stage(
    make_config: Callable[..., Config], workspace: Workspace, tmp_path: Path
) -> None:
    configured(make_config, workspace, steps=100_000, validate_every=100_000)
    command = [sys.executable, "-u", "-m", "jobs.train", str(tmp_path / "config.yaml")]
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stdout
    for line in run.stdout:
        if "step 2 " in line:
            break
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=120)
    assert (run.returncode, errors) == (130, "interrupted: the same command continues where this one stopped\n")


def test_only_the_checkpoints_of_that_training_are_removed(workspace: Workspace) -> None:
    for name in ("abc-1-x/state", "abc-2-y/state", "abd/state"):
        workspace.write_bytes(f"{fitting.RUNS}/{name}", b"weights")
    fitting.forget(workspace, "abc")
    assert list(workspace.list_all(fitting.RUNS)) == [f"{fitting.RUNS}/abd/state"]


@pytest.mark.usefixtures("ray_cluster")
def test_all_losses_are_counted_when_a_training_has_failed(workspace: Workspace) -> None:
    told = fitting.Told(workers=1)
    with (
        pytest.raises(ConfigError, match="given up"),
        fitting.printed(engine.Run("train", Config(workspace=workspace.root)), told) as lines,
    ):
        for loss in range(40):
            lines.put({"lost": f"node {loss}"})
        raise ConfigError("given up")
    assert told.losses == 40
