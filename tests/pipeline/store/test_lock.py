import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator

import psutil
import pytest

from pipeline.store import lock
from pipeline.store.errors import WorkspaceError
from pipeline.store.workspace import Workspace


def run_that_holds(workspace: Workspace) -> subprocess.Popen:
    """Start a process that holds the workspace until it is ended."""
    code = f"""
        import time
        from pipeline.store import lock
        from pipeline.store.workspace import Workspace
        with lock.hold(Workspace({workspace.root!r}), "separate", print):
            print("held", flush=True)
            time.sleep(60)"""
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "held\n"
    return process


def test_a_second_run_is_told_which_run_works_there_and_since_when(workspace: Workspace):
    process = run_that_holds(workspace)
    try:
        with pytest.raises(WorkspaceError) as told, lock.hold(workspace, "scan", pytest.fail):
            pass
        words = str(told.value)
        assert f"(process {process.pid}, separate, since {time.strftime('%Y-%m-%d', time.gmtime())}" in words
        assert f"works in {workspace.root}" in words
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("reaped", [True, False])
def test_the_claim_of_a_dead_process_is_taken_over_at_once(workspace: Workspace, reaped):
    process = run_that_holds(workspace)
    process.send_signal(signal.SIGKILL)
    psutil.wait_procs([psutil.Process(process.pid)], 10) if reaped else os.waitid(
        os.P_PID, process.pid, os.WEXITED | os.WNOWAIT
    )
    said: list[str] = []
    with lock.hold(workspace, "scan", said.append):
        assert [claim.by["pid"] for claim in lock.claims(workspace)] == [os.getpid()]
    assert len(said) == 1
    assert f"process {process.pid}" in said[0]
    process.wait()


def test_a_claim_is_released_however_the_work_ends(workspace: Workspace):
    with pytest.raises(KeyboardInterrupt), lock.hold(workspace, "scan", pytest.fail):
        assert len(lock.claims(workspace)) == 1
        raise KeyboardInterrupt
    assert lock.claims(workspace) == []


def claim_of_another_machine(workspace: Workspace) -> None:
    by = {
        "host": "elsewhere",
        "processes": "",
        "user": "ella",
        "pid": 7,
        "began": 0.0,
        "doing": "embed",
        "since": "1999",
    }
    workspace.write_bytes("_lock/theirs.json", json.dumps(by).encode())


def age(workspace: Workspace, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(workspace.path("_lock/theirs.json"), (then, then))


def test_a_run_on_another_machine_counts_as_alive_while_its_claim_is_renewed(workspace: Workspace):
    claim_of_another_machine(workspace)
    age(workspace, lock.DEAD_S / 2)
    with pytest.raises(WorkspaceError, match=r"ella@elsewhere \(process 7, embed, since 1999\) .* 90 s old"):
        with lock.hold(workspace, "scan", pytest.fail):
            pass
    age(workspace, lock.DEAD_S + 5)
    said: list[str] = []
    with lock.hold(workspace, "scan", said.append):
        pass
    assert said == ["taking over from ella@elsewhere (process 7, embed, since 1999), which is dead"]


def test_a_workspace_on_an_object_store_is_locked_too(object_store, monkeypatch):
    workspace = Workspace(f"{object_store.bucket()}/workspace")
    with lock.hold(workspace, "scan", pytest.fail):
        (mine,) = lock.claims(workspace)
        assert mine.is_here
    claim_of_another_machine(workspace)
    with pytest.raises(WorkspaceError, match=r"ella@elsewhere .* works in s3://"):
        with lock.hold(workspace, "scan", pytest.fail):
            pass
    monkeypatch.setattr(lock, "DEAD_S", 0.5)
    time.sleep(1.1)  # the store's times are whole seconds
    said: list[str] = []
    with lock.hold(workspace, "scan", said.append):
        pass
    assert len(said) == 1
    assert lock.claims(workspace) == []


@pytest.fixture(params=[signal.default_int_handler, signal.SIG_IGN], ids=["foreground", "background"])
def interrupts(request: pytest.FixtureRequest) -> Iterator[None]:
    before = signal.signal(signal.SIGINT, request.param)
    yield
    assert signal.signal(signal.SIGINT, before) is request.param


@pytest.mark.usefixtures("interrupts")
def test_a_run_renews_its_claim_and_ends_if_another_took_over(workspace: Workspace, monkeypatch):
    monkeypatch.setattr(lock, "BEAT_S", 0.05)
    with pytest.raises(WorkspaceError, match="another took over"), lock.hold(workspace, "scan", pytest.fail):
        (claim,) = lock.claims(workspace)
        path = workspace.path(claim.name)
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 60
        while os.path.getmtime(path) == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert os.path.getmtime(path) > 0
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            workspace.delete(claim.name)
            time.sleep(0.5)
