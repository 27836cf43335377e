import contextlib
import http.server
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from jobs.connect import start_ray
from pipeline.sections import Compute
from pipeline.store.errors import ConfigError

ROOT = Path(__file__).parents[2]
CODE = "from jobs import connect, engine; import sys; sys.exit(engine.guarded(lambda: connect.start_ray() or 0))"
ALONE = "import functools, ray._private.services as services; services.find_gcs_addresses = functools.cache(set)"
SLOW = """if True:
    import time, types
    from ray._private import node, services

    def not_yet(*_):
        raise RuntimeError("the node is not there yet")

    services.get_node = not_yet
    node.time = types.SimpleNamespace(monotonic=lambda: 100 * time.monotonic(), sleep=time.sleep, time=time.time)
"""


def start(before: str = "", **environment: str) -> tuple[int, str]:
    """Start Ray in a process of its own, after some code; return its exit status and all that it printed."""
    inherited = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-c", f"{before}\n{CODE}"],
        cwd=ROOT,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


@contextlib.contextmanager
def web_server() -> Iterator[str]:
    """Give the address of something that answers and is not Ray's head, such as the dashboard."""
    with http.server.HTTPServer(("", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def short_folder() -> Iterator[str]:
    """Return a folder for Ray's own files, whose sockets may not have long names."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="ray-", ignore_cleanup_errors=True) as folder:
        yield folder


WRONG = {
    "http://127.0.0.1:8265": "where jobs are submitted to",
    "127.0.0.1:1": "Connection refused",
    "nowhere.invalid:6379": "not known|resolution",
    "ray://127.0.0.1:1": "Connection refused",
    "nonsense": "Invalid address",
    "something else": "what answers there is not Ray",
    "nothing answers": "timed out",
}
ASK = """if True:
    import os, sys
    from jobs import connect, engine

    connect.ANSWER_S = 0.5
    for address in sys.argv[1:]:
        os.environ["RAY_ADDRESS"] = address
        print(engine.guarded(connect.start_ray), flush=True)
"""


@pytest.fixture(scope="module")
def told() -> dict[str, tuple[str, list[str]]]:
    """Return the messages for all `WRONG` addresses, which one process tries: each address and its lines."""
    with web_server() as other, socket.create_server(("", 0)) as silent:
        places = {"something else": other, "nothing answers": f"127.0.0.1:{silent.getsockname()[1]}"}
        addresses = [places.get(name, name) for name in WRONG]
        done = subprocess.run(
            [sys.executable, "-c", ASK, *addresses],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
    said = re.split("^2$\n", done.stdout, flags=re.MULTILINE)  # the exit status, after each
    return {name: (address, lines.splitlines()) for name, address, lines in zip(WRONG, addresses, said, strict=False)}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_address_is_reported_at_once(told, name):
    address, lines = told[name]
    assert len(lines) == 1
    assert lines[0].startswith(f"error: RAY_ADDRESS={address}: ")
    assert re.search(WRONG[name], lines[0])


def test_auto_without_a_cluster_or_with_a_dead_one_is_reported(short_folder):
    status, said = start(ALONE, RAY_ADDRESS="auto", RAY_TMPDIR=short_folder)
    assert (status, said.count("\n")) == (2, 1)
    assert "RAY_ADDRESS=auto: Could not find any running Ray instance" in said
    (Path(short_folder) / "ray").mkdir(exist_ok=True)
    (Path(short_folder) / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
    status, said = start(ALONE, RAY_ADDRESS="auto", RAY_TMPDIR=short_folder)
    assert (status, said.count("\n")) == (2, 1)
    assert "RAY_ADDRESS=auto: Connection refused" in said


def test_a_start_that_is_too_slow_is_reported_and_leaves_nothing_running(short_folder):
    status, said = start(SLOW, RAY_TMPDIR=short_folder)
    assert (status, said.count("\n")) == (2, 1)
    assert "timed out during startup" in said
    assert "run the same command again" in said
    for _ in range(100):  # an agent of Ray's notices within seconds that it is alone
        commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
        if not (left := [command for command in commands if any(short_folder in word for word in command)]):
            break
        time.sleep(0.3)
    assert not left


def test_a_temporary_folder_with_too_long_a_path_is_not_used(tmp_path):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    assert start(TMPDIR=str(long)) == (0, "")


def test_a_start_that_fails_is_reported_clearly(tmp_path):
    (tmp_path / "file").write_text("in the way")
    status, said = start(RAY_TMPDIR=str(tmp_path / "file"))
    assert (status, said.count("\n")) == (2, 1)
    assert said.startswith("error: Ray did not start on this machine: ")


def test_a_pool_that_never_fits_this_machine_is_reported(ray_cluster):
    with pytest.raises(ConfigError, match="9 workers of 1 CPU"):
        start_ray(Compute(workers_min=9, workers_max=9))
    with pytest.raises(ConfigError, match="GPU"):
        start_ray(Compute(gpus=64))
