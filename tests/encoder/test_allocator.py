"""Freed memory is kept: a process that makes the same large tensor again and again fetches its pages once."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys, torch
from encoder.allocator import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit(77)
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.ones(64 << 18)
before = faults()
for _ in range(10):
    torch.ones(64 << 18)
print(faults() - before)
"""


def page_faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("the C library has no mallopt, as glibc has")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_pages_are_fetched_once() -> None:
    assert page_faults("keep") < page_faults("as it is") / 10
