import asyncio
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
import ray
import soundfile
from aiohttp import web

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


def test_a_path_with_any_character_arrives_unchanged(tmp_path):
    (tmp_path / "c.yaml").write_text("seed: 1")
    odd = f"{tmp_path}/it's #1 & co: [x]"
    places = ("workspace", "known", "evaluate.audio", "store.weights")
    config = load(tmp_path / "c.yaml", [f"{key}={odd}" for key in places])
    words = shlex.split(submit.entry_point("evaluate", str(tmp_path / "c.yaml"), config, []))
    assert words[:3] == ["python", "-m", "jobs.evaluate"]
    assert load(words[3], words[4:]) == config


def test_an_address_where_nothing_listens_is_reported(capsys):
    assert submit.main(["--address", "http://127.0.0.1:1", "scan", str(ROOT / "configs" / "local.yaml")]) == 2
    assert "make ray-up" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["127.0.0.1:6379", "auto", "nonsense", "ray://127.0.0.1:10001", ""])
def test_an_address_of_another_kind_is_reported(capsys, address):
    assert submit.main(["--address", address, "scan", str(ROOT / "configs" / "local.yaml")]) == 2
    assert capsys.readouterr().err == (
        f"error: {address} is not the address of a dashboard, where jobs are submitted: http://host:8265\n"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scan"], "name a stage and a config"),
        (["scan", "no/such.yaml"], "cannot read the config"),
        (["--env", "NOT_SET_HERE", "scan", "configs/local.yaml"], "NOT_SET_HERE: there is no such variable"),
        (["--follow", "raysubmit_x"], "has no job raysubmit_x"),
    ],
)
def test_impossible_requests_are_reported(capsys, arguments, words):
    assert submit.main(["--address", "http://127.0.0.1:1", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.fixture
def breaking_head():
    """Return the address of a dashboard that sends a job's log, and whose first connection breaks in the middle."""
    asked = []

    async def tail(request: web.Request) -> web.WebSocketResponse:
        asked.append(request.path)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("one\ntw")
        if len(asked) == 1:
            request.transport.abort()
        else:
            await socket.send_str("o\n")
            await socket.close()
        return socket

    async def status(_: web.Request) -> web.Response:
        state = "RUNNING" if len(asked) < 2 else "SUCCEEDED"
        return web.json_response({"type": "SUBMISSION", "entrypoint": "true", "submission_id": "j", "status": state})

    async def version(_: web.Request) -> web.Response:
        return web.json_response({"version": "4", "ray_version": ray.__version__, "ray_commit": ""})

    app = web.Application()
    app.add_routes([web.get("/api/version", version), web.get("/api/jobs/j", status)])
    app.add_routes([web.get("/api/jobs/j/logs/tail", tail)])
    loop, runner = asyncio.new_event_loop(), web.AppRunner(app, shutdown_timeout=0)
    loop.run_until_complete(runner.setup())
    loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_a_log_whose_connection_breaks_is_printed_completely_and_once(breaking_head, capsys):
    assert submit.main(["--address", breaking_head, "--follow", "j"]) == 0
    assert capsys.readouterr().out == "one\ntwo\nj: SUCCEEDED\n"


@pytest.fixture(scope="module")
def ray_head():
    """Start a head node on loopback with token authentication, as `make ray-up` does, on ports of its own."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # a socket's path must be short
    token = folder / "token"
    token.write_text("a" * 64)
    environment = os.environ | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_TMPDIR": str(folder),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = shutil.which("ray", path=environment["PATH"])
    assert command
    subprocess.run(
        [
            command,
            "start",
            "--head",
            "--node-ip-address=127.0.0.1",
            "--port=6399",
            "--num-cpus=2",
            "--dashboard-host=127.0.0.1",
            "--dashboard-port=8299",
            "--dashboard-agent-listen-port=8298",
            "--object-store-memory=200000000",
            "--disable-usage-stats",
        ],
        env=environment,
        check=True,
        capture_output=True,
        timeout=120,
    )
    yield environment
    pids = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True).stdout.split()
    subprocess.run(["kill", "-9", *pids], check=False)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write three files of noise, and one that is not audio."""
    folder, rng = tmp_path_factory.mktemp("music"), np.random.default_rng(0)
    for i in range(3):
        soundfile.write(folder / f"{i}.flac", 0.1 * rng.standard_normal(22050), 22050)
    (folder / "broken.flac").write_text("no sound")
    return folder


def sending(environment: dict[str, str], *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "jobs.submit", "--address", "http://127.0.0.1:8299", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def sent(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    process = sending(environment, *arguments)
    out, errors = process.communicate(timeout=120)
    return process.returncode, out, errors


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_submitted_stage_runs_on_a_head_with_token_authentication(ray_head, tmp_path, music):
    config = tmp_path / "my own.yaml"  # outside the project
    config.write_text(f"workspace: {tmp_path / 'workspace'}\ncatalogue: {music}\n")
    secret = ray_head | {"AWS_SECRET_ACCESS_KEY": "never shown"}
    status, out, errors = sent(secret, "--env", "AWS_SECRET_ACCESS_KEY", "scan", str(config))
    assert status == 0, out + errors
    assert "1 failed" in out
    assert "SUCCEEDED" in out
    assert "never shown" not in out + errors
    assert len(tables.read(Workspace(tmp_path / "workspace"), "tracks")) == 3

    status, out, _ = sent(ray_head, "scan", str(config), "catalogue=/no/such/folder")
    assert status == 1
    assert "no file or folder /no/such/folder" in out

    status, _, errors = sent(ray_head | {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "none")}, "scan", str(config))
    assert status == 2
    assert "error: no job can be submitted" in errors


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_ctrl_c_stops_following_and_not_the_job(ray_head, tmp_path, music):
    config = tmp_path / "config.yaml"
    config.write_text(f"workspace: {tmp_path / 'workspace'}\ncatalogue: {music}\n")
    process = sending(ray_head, "scan", str(config))
    job = process.stdout.readline().split()[1]
    assert process.stdout.readline(), "the log has begun"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.splitlines() == [
        f"no longer following {job}, which continues",
        f"to follow it: python -m jobs.submit --address http://127.0.0.1:8299 --follow {job}",
        f"to stop it: python -m jobs.submit --address http://127.0.0.1:8299 --stop {job}",
    ]
    status, out, _ = sent(ray_head, "--follow", job)
    assert status == 0
    assert "SUCCEEDED" in out

    waits = "scan.compute.cpus=64"  # for a node that is never added
    status, out, errors = sent(ray_head, "--detach", "scan", str(config), f"workspace={tmp_path / 'other'}", waits)
    assert status == 0
    assert "to follow it" in errors
    job = out.split()[1]
    assert sent(ray_head, "--stop", job)[:2] == (0, f"{job} is being stopped\n")
    status, out, _ = sent(ray_head, "--follow", job)
    assert status == 1
    assert "STOPPED" in out
