"""Freed memory is kept: a process that repeatedly makes the same large tensor fetches its pages only once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from encoder.allocator import ENVIRONMENT

SCRIPT = """
import resource, sys, threading, torch
from encoder.allocator import keep_freed_memory

def work():
    if sys.argv[1] == "keep" and not keep_freed_memory():
        return
    faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(64 << 18)
    before = faults()
    for _ in range(10):
        torch.ones(64 << 18)
    print(faults() - before)

if sys.argv[2] == "in a thread":
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
else:
    work()
"""


def page_faults(how: str, where: str = "at the top", **environment: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, how, where],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    if not done.stdout:
        pytest.skip("the C library has no mallopt, as glibc has")
    return int(done.stdout)


def test_pages_are_fetched_once() -> None:
    assert page_faults("keep") < page_faults("as it is") / 10


def test_pages_are_fetched_once_in_a_workers_thread() -> None:
    assert page_faults("keep", "in a thread", **ENVIRONMENT) < page_faults("keep", "in a thread") / 10
