"""Memory that is freed stays with the process, so that the next tensor need not fetch it from the kernel again.

glibc gives each large block back to the kernel as soon as it is freed, and every page of the next one is mapped and
zeroed anew: networks that run through the same shapes again and again spend a quarter of their time in that. See
mallopt(3): a block above M_MMAP_THRESHOLD is mapped by itself, memory at the top of the heap above M_TRIM_THRESHOLD is
given back. Peak memory stays what it was, but is held until the process ends.

Threads other than the first get heaps of their own, made of pieces of 64 MB that go back whatever the thresholds say.
A process whose work runs in such a thread, as that of a Ray worker does, must be started with `ENVIRONMENT`.
"""

from __future__ import annotations

import ctypes
import functools

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}  # one heap for all threads
LARGEST = 2**31 - 1  # bytes, the most that mallopt's int can say


@functools.cache
def keep_freed_memory() -> bool:
    """Tell the C library once for this process; whether it is one that can be told (glibc is)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(M_TRIM_THRESHOLD, LARGEST))
