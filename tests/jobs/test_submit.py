import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from jobs import submit
from pipeline.config import load
from pipeline.store import tables
from pipeline.store.workspace import Workspace

ROOT = Path(__file__).parents[2]


def test_the_job_is_the_same_entry_point_with_absolute_paths(tmp_path):
    (tmp_path / "c.yaml").write_text("workspace: somewhere\ncatalogue: s3://bucket/music\n")
    overrides = ["seed=3", "workspace=elsewhere"]
    found = submit.entry_point("embed", "configs/c.yaml", load(tmp_path / "c.yaml", overrides), overrides)
    assert found == f"python -m jobs.embed configs/c.yaml seed=3 workspace={Path('elsewhere').absolute()}"


def test_a_path_with_any_sign_arrives_as_it_was(tmp_path):
    (tmp_path / "c.yaml").write_text("seed: 1")
    odd = f"{tmp_path}/it's #1 & co: [x]"
    config = load(tmp_path / "c.yaml", [f"{key}={odd}" for key in ("workspace", "known", "evaluate.audio")])
    words = shlex.split(submit.entry_point("evaluate", str(tmp_path / "c.yaml"), config, []))
    assert words[:3] == ["python", "-m", "jobs.evaluate"]
    assert load(words[3], words[4:]) == config


def test_an_address_where_nobody_listens_is_told(capsys):
    assert submit.main(["--address", "http://127.0.0.1:1", "scan", str(ROOT / "configs" / "local.yaml")]) == 2
    assert "make ray-up" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["127.0.0.1:6379", "auto", "nonsense", "ray://127.0.0.1:10001", ""])
def test_an_address_of_another_kind_is_told(capsys, address):
    assert submit.main(["--address", address, "scan", str(ROOT / "configs" / "local.yaml")]) == 2
    assert capsys.readouterr().err == (
        f"error: {address} is no address of a dashboard, to which jobs are submitted: http://host:8265\n")


def test_a_config_outside_the_project_is_told(tmp_path, capsys):
    (tmp_path / "c.yaml").write_text("workspace: x\n")
    assert submit.main(["scan", str(tmp_path / "c.yaml")]) == 2
    assert "must lie inside" in capsys.readouterr().err


@pytest.fixture
def ray_head():
    """Start a head node on loopback with token authentication, as `make ray-up` does, on ports of its own."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: the names of sockets may not be long
    token = folder / "token"
    token.write_text("a" * 64)
    environment = os.environ | {
        "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "RAY_TMPDIR": str(folder),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    ray = shutil.which("ray", path=environment["PATH"])
    assert ray
    subprocess.run([ray, "start", "--head", "--node-ip-address=127.0.0.1", "--port=6399", "--num-cpus=2",
                    "--dashboard-host=127.0.0.1", "--dashboard-port=8299", "--dashboard-agent-listen-port=8298",
                    "--object-store-memory=200000000",
                    "--disable-usage-stats"], env=environment, check=True, capture_output=True, timeout=120)
    yield environment
    pids = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True).stdout.split()
    subprocess.run(["kill", "-9", *pids], check=False)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(240)
def test_a_submitted_stage_runs_on_a_head_with_token_authentication(ray_head, tmp_path, catalogue):
    def send(*settings: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "jobs.submit", "--address", "http://127.0.0.1:8299", "scan", "configs/local.yaml",
             f"workspace={tmp_path / 'workspace'}", f"catalogue={catalogue}", *settings],
            cwd=ROOT, env=ray_head, capture_output=True, text=True, timeout=120)

    done = send()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 failed" in done.stdout
    assert "SUCCEEDED" in done.stdout
    assert len(tables.read(Workspace(tmp_path / "workspace"), "tracks")) > 9
    failed = send("catalogue=/no/such/folder")
    assert failed.returncode == 1
    assert "no file or folder /no/such/folder" in failed.stdout
    refused = subprocess.run(
        [sys.executable, "-m", "jobs.submit", "--address", "http://127.0.0.1:8299", "scan", "configs/local.yaml"],
        cwd=ROOT, env=ray_head | {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "none")}, capture_output=True, text=True,
        timeout=60)
    assert refused.returncode == 2
    assert "error: no job can be submitted" in refused.stderr
