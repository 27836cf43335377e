"""Memory that is fast to use: what is freed stays in the process, and pages are huge.

By default glibc returns every large block to the kernel as soon as it is freed, and every page of the next block is
mapped and zeroed anew. A network that runs through the same shapes over and over spends a quarter of its time on that.
See mallopt(3): blocks above M_MMAP_THRESHOLD are mapped one by one, and memory above M_TRIM_THRESHOLD at the top of
the heap is returned. Peak memory does not change, but it is held until the process ends.

Threads other than the first get heaps of their own, built from 64 MB pieces that are returned whatever the thresholds
say. A process that computes in such a thread, as a Ray worker does, has to be started with `ENVIRONMENT`.

`ENVIRONMENT` also asks for pages of 2 MB: a processor knows the addresses of some thousand pages only, and a search of
a large index reads from all over hundreds of megabytes.
"""

from __future__ import annotations

import ctypes
import functools

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "1",  # one heap for all threads
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # huge pages, where the kernel leaves the choice to programs
}
LARGEST = 2**31 - 1  # bytes, the most that mallopt's int can express


@functools.cache
def keep_freed_memory() -> bool:
    """Set both thresholds, once per process.

    Returns:
        Whether the C library accepted them; only glibc does.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(M_TRIM_THRESHOLD, LARGEST))
