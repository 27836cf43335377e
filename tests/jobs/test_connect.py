import contextlib
import http.server
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.connect import start_ray
from pipeline.sections import Compute
from pipeline.store.errors import ConfigError

ROOT = Path(__file__).parents[2]
CODE = "from jobs import connect, engine; import sys; sys.exit(engine.guarded(lambda: connect.start_ray() or 0))"


def start(**environment: str) -> tuple[int, str]:
    """Start Ray in a process of its own; return its exit status and all that it printed."""
    inherited = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, env=inherited | environment, capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


@contextlib.contextmanager
def web_server() -> Iterator[str]:
    """Give the address of something that answers and is not Ray's head, such as the dashboard."""
    with http.server.HTTPServer(("", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1:8265", "where jobs are submitted to"),
        ("127.0.0.1:1", "Connection refused"),
        ("nowhere.invalid:6379", "not known|resolution"),
        ("ray://127.0.0.1:1", "Connection refused"),
        ("nonsense", "Invalid address"),
    ],
)
def test_a_wrong_address_is_told_at_once(address, words):
    status, said = start(RAY_ADDRESS=address)
    assert status == 2
    assert said.startswith(f"error: RAY_ADDRESS={address}: ")
    assert re.search(words, said)
    assert said.count("\n") == 1


def test_an_address_where_somebody_else_answers_is_told():
    with web_server() as address:
        status, said = start(RAY_ADDRESS=address)
    assert (status, said.count("\n")) == (2, 1)
    assert "what answers there is not Ray" in said


def test_a_place_for_files_that_is_too_long_is_passed_over(tmp_path):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    assert start(TMPDIR=str(long)) == (0, "")


def test_a_start_that_fails_is_told_in_words(tmp_path):
    (tmp_path / "file").write_text("in the way")
    status, said = start(RAY_TMPDIR=str(tmp_path / "file"))
    assert (status, said.count("\n")) == (2, 1)
    assert said.startswith("error: Ray did not start on this machine: ")


def test_a_pool_that_this_machine_can_never_hold_is_told(ray_cluster):
    with pytest.raises(ConfigError, match="9 workers of 1 CPU"):
        start_ray(Compute(workers_min=9, workers_max=9))
    with pytest.raises(ConfigError, match="GPU"):
        start_ray(Compute(gpus=64))
