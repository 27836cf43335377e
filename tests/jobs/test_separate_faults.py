"""The separate job when things go wrong: killed workers and drivers, files that kill the decoder, missing weights.

Each test runs the real command in a process of its own, kills something while a track is processed, and looks at
what is left then, and after the same command has run again.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mutagen.flac
import numpy as np
import pytest
import soundfile
import yaml

from pipeline.demo.mix import perform
from pipeline.demo.singer import draw_singers
from pipeline.store import tables
from pipeline.store.workspace import Workspace

pytestmark = pytest.mark.slow

RATE = 44100
N_TRACKS, TRACK_S = 4, 30.0
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write four tracks, long enough to be caught in the middle of one."""
    folder = tmp_path_factory.mktemp("faults") / "music"
    folder.mkdir()
    generator = np.random.default_rng(1)
    song = perform(draw_singers(["ann"], generator), 10.0, "strings", RATE, generator).mix.T
    for i in range(N_TRACKS):
        whole = np.tile(song, (round(TRACK_S * RATE / len(song)) + 1, 1))[: round(TRACK_S * RATE) + i]
        soundfile.write(folder / f"{i}.flac", whole, RATE)
    return folder


@pytest.fixture
def config(tmp_path: Path, music: Path) -> Path:
    """Write a config, and the tracks table of its workspace."""
    path = tmp_path / "config.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "workspace": str(tmp_path / "workspace"),
                "min_free_gb": 0,
                "separate": {"separator": "spleeter", "compute": {"cpus": 1, "batch": 2}},
            }
        )
    )
    tables.replace(
        Workspace(tmp_path / "workspace"),
        "tracks",
        [{"track_id": f"{i}" * 32, "uri": str(music / f"{i}.flac")} for i in range(N_TRACKS)],
    )
    return path


def start(config: Path, *overrides: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "jobs.separate", str(config), *overrides],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen]]:
    """Return a function that starts the job; whatever is left of it ends with the test."""
    jobs: list[subprocess.Popen] = []

    def begin(*arguments) -> subprocess.Popen:
        jobs.append(start(*arguments))
        return jobs[-1]

    yield begin
    for job in jobs:
        for pid in [*descendants(job.pid), job.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        job.wait()


def descendants(pid: int) -> list[int]:
    """Return the descendants of a process, found in /proc."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        waiting += (children := parents.get(waiting.pop(), []))
        found += children
    return found


def decoders(pid: int) -> list[int]:
    """Return the decoding processes among the descendants of a process."""
    found = []
    for child in descendants(pid):
        try:
            if b"pipeline.sound.decoder" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
        except OSError:
            continue
    return found


def at_work(pid: int) -> list[int]:
    """Return those of the decoding processes that have a track open."""
    found = []
    for decoder in decoders(pid):
        try:
            if any(os.readlink(file).endswith(".flac") for file in Path(f"/proc/{decoder}/fd").iterdir()):
                found.append(decoder)
        except OSError:
            continue
    return found


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def in_work(workspace: Workspace) -> list[Path]:
    """Return the vocals that are being written."""
    return [path for path in Path(workspace.path("_in_work")).rglob("*.flac") if path.stat().st_size > 200_000]


def wait_for(condition: Callable[[], Any], job: subprocess.Popen, seconds: float = 200) -> Any:
    """Return the condition's value as soon as it is true."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert job.poll() is None, job.stdout.read()
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def finished(workspace: Workspace) -> dict[str, int]:
    """Return the vocals under their final names and when they were written; each must be a whole FLAC file."""
    found = {}
    for path in Path(workspace.path("vocals_audio")).rglob("*.flac"):
        if not path.name.startswith("."):
            assert soundfile.info(path).frames == round(TRACK_S * RATE) + int(path.stem[0])
            assert len(soundfile.read(path, start=round(TRACK_S * RATE) - 1)[0]) >= 1
            assert "vocatlas_row" in mutagen.flac.FLAC(path).tags
            found[path.stem] = path.stat().st_mtime_ns
    return found


def assert_complete(workspace: Workspace) -> None:
    rows = tables.read(workspace, "vocals")
    assert sorted(rows["track_id"]) == [f"{i}" * 32 for i in range(N_TRACKS)]
    assert set(finished(workspace)) == set(rows["track_id"])
    assert tables.read(workspace, "failures").empty
    assert not in_work(workspace)


def test_a_worker_killed_in_the_middle_of_a_track_loses_nothing(config, started):
    workspace = Workspace(config.parent / "workspace")
    job = started(config)
    wait_for(lambda: len(finished(workspace)) >= 1 and decoders(job.pid), job)
    before = finished(workspace)
    os.kill(parent(decoders(job.pid)[0]), signal.SIGKILL)
    output, _ = job.communicate(timeout=400)
    assert job.returncode == 0, output
    assert "4 tracks done, 0 skipped, 0 failed" in output
    assert_complete(workspace)
    assert {key: finished(workspace)[key] for key in before} == before  # no track was separated twice


def test_after_a_killed_driver_the_same_command_continues(config, started):
    workspace = Workspace(config.parent / "workspace")
    job = started(config)
    wait_for(lambda: len(finished(workspace)) >= 2, job)
    for pid in [job.pid, *descendants(job.pid)]:
        os.kill(pid, signal.SIGKILL)
    before = finished(workspace)
    again = started(config)
    output, _ = again.communicate(timeout=400)
    assert again.returncode == 0, output
    assert_complete(workspace)
    assert {key: finished(workspace)[key] for key in before} == before


def test_a_file_that_kills_its_decoder_costs_only_itself(config, started):
    workspace = Workspace(config.parent / "workspace")
    job = started(config, "max_failed_fraction=0.1")
    victim = wait_for(lambda: at_work(job.pid), job)[0]
    os.kill(victim, signal.SIGSEGV)
    output, _ = job.communicate(timeout=400)
    failures = tables.read(workspace, "failures")
    assert len(failures) == 1, output
    assert failures["error"].to_list() == ["crashed"]
    assert "SIGSEGV" in failures["message"][0]
    assert len(finished(workspace)) == N_TRACKS - 1
    assert job.returncode == 1  # one in four is more than the tenth that may fail
    assert "max_failed_fraction=0.1" in output
    again = started(config, "retry_failed=true")
    output, _ = again.communicate(timeout=400)
    assert again.returncode == 0, output
    assert_complete(workspace)


def test_missing_weights_are_reported_before_work_starts(config, started, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TORCH_HOME", str(config.parent))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    job = started(config, "separate.separator=htdemucs")
    output, _ = job.communicate(timeout=200)
    assert job.returncode == 2
    assert "separate.separator=spleeter" in output
    assert "Traceback" not in output
