"""One run at a time in a workspace: a claim says which run works there, since when, and that it is alive.

Claims are files under `_lock/`. A run first writes its own claim and then looks for others, so that of two runs that
start together at most one continues. That works on a disk and on an object store, which cannot create files
exclusively. A claim from this machine is alive as long as its process. One from another machine is alive as long as it
is rewritten; its age is the difference between two times from the store, so clocks need not agree.
"""

import contextlib
import getpass
import json
import os
import signal
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psutil

from pipeline.store.errors import WorkspaceError
from pipeline.store.workspace import Workspace

FOLDER = "_lock"
BEAT_S = 20.0
DEAD_S = 180.0
CLOCK_S = 60.0  # tolerance for the start time of a process, since clocks are adjusted


@dataclass(frozen=True)
class Claim:
    """A claim: its file, the file's content, and the time since it was last written."""

    name: str
    by: dict[str, Any]
    age_s: float

    @property
    def is_here(self) -> bool:
        """Whether its process would be visible from here."""
        return all(self.by.get(key) == value for key, value in _place().items())

    @property
    def is_alive(self) -> bool:
        """Whether its run is still working."""
        if not self.is_here:
            return self.age_s < DEAD_S
        try:
            process = psutil.Process(self.by["pid"])
            return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - self.by["began"]) < CLOCK_S
        except psutil.Error:
            return False

    def __str__(self) -> str:
        return (
            f"{self.by['user']}@{self.by['host']} (process {self.by['pid']}, {self.by['doing']}, "
            f"since {self.by['since']})"
        )


@contextlib.contextmanager
def hold(workspace: Workspace, doing: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the workspace's lock for the duration of the block.

    Raises:
        WorkspaceError: another run works there, or took over while this process was stopped; the message says which.
    """
    name, ended, lost = f"{FOLDER}/{uuid.uuid4().hex}.json", threading.Event(), threading.Event()
    by = _place() | {
        "user": _user(),
        "pid": os.getpid(),
        "began": psutil.Process().create_time(),
        "doing": doing,
        "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }
    content = json.dumps(by).encode()
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as in a script's background jobs
    workspace.write_bytes(name, content)

    def beat() -> None:
        while not ended.wait(BEAT_S):
            with contextlib.suppress(OSError, WorkspaceError):  # the next attempt may succeed
                if not workspace.exists(name):
                    lost.set()
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                    return
                workspace.write_bytes(name, content)

    beating = threading.Thread(target=beat, daemon=True)
    try:
        _be_alone(workspace, name, say)
        if ignored:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        beating.start()
        yield
    except KeyboardInterrupt:
        if lost.is_set():
            raise WorkspaceError(f"this run was silent for so long that another took over {workspace.root}") from None
        raise
    finally:
        ended.set()
        if beating.is_alive():
            beating.join()
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        workspace.delete(name)


def claims(workspace: Workspace) -> list[Claim]:
    """Return all claims; the one that was written last has the age 0."""
    names = workspace.list(FOLDER, ".json")
    found = []
    for name, info in zip(names, workspace.fs.get_file_info([workspace.path(name) for name in names]), strict=True):
        with contextlib.suppress(OSError):  # it has just been released
            found.append((name, json.loads(workspace.read_bytes(name)), info.mtime_ns or 0))
    last_ns = max((mtime_ns for _, _, mtime_ns in found), default=0)
    return [Claim(name, by, (last_ns - mtime_ns) / 1e9) for name, by, mtime_ns in found]


def _be_alone(workspace: Workspace, mine: str, say: Callable[[str], None]) -> None:
    """Take over the claims of dead runs.

    Raises:
        WorkspaceError: another run is alive.
    """
    for claim in claims(workspace):
        if claim.name == mine:
            continue
        if claim.is_alive:
            wait = (
                ""
                if claim.is_here
                else (
                    f" Its last sign of life is {claim.age_s:.0f} s old; "
                    f"with none for {DEAD_S:.0f} s, the next run takes over."
                )
            )
            raise WorkspaceError(
                f"{claim} works in {workspace.root}. Wait for it or end it, or name another workspace.{wait}"
            )
        say(f"taking over from {claim}, which is dead")
        workspace.delete(claim.name)


def _place() -> dict[str, str]:
    """Return the identity of the set of processes that this one can see: a machine, and a container on it."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return {"host": socket.gethostname(), "processes": space}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the container's user has no name
        return str(os.getuid())
