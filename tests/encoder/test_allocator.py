"""Freed memory is kept, in huge pages: a process that makes the same large tensor again fetches few or no pages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from encoder.allocator import ENVIRONMENT

SCRIPT = """
import resource, sys, threading, torch
from encoder.allocator import keep_freed_memory

def work():
    for way in sys.argv[2:]:
        if way == "keep" and not keep_freed_memory():
            return
        faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(10):
            torch.ones(64 << 18)
        before = faults()
        for _ in range(10):
            torch.ones(64 << 18)
        print(faults() - before)

if sys.argv[1] == "in a thread":
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
else:
    work()
"""


def page_faults(where: str, *ways: str, **environment: str) -> list[int]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, where, *ways],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    if len(found := list(map(int, done.stdout.split()))) < len(ways):
        pytest.skip("the C library has no mallopt, as glibc has")
    return found


def test_pages_are_fetched_once() -> None:
    before, after = page_faults("at the top", "as it is", "keep")
    assert after < before / 10


def test_pages_are_fetched_once_in_a_workers_thread() -> None:
    heaps = {"MALLOC_ARENA_MAX": ENVIRONMENT["MALLOC_ARENA_MAX"]}
    assert page_faults("in a thread", "keep", **heaps)[0] < page_faults("in a thread", "keep")[0] / 10


def test_pages_are_huge() -> None:
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not setting.exists() or "[madvise]" not in setting.read_text():
        pytest.skip("the kernel does not leave the choice of huge pages to programs")
    assert page_faults("at the top", "as it is", **ENVIRONMENT)[0] < page_faults("at the top", "as it is")[0] / 10
