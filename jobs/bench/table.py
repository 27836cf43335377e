"""What all benchmarks share: one clock, and one way to print a Markdown table."""

import resource
import time

import numpy as np


def clock() -> np.ndarray:
    """Return (2,) seconds: wall-clock time from an arbitrary start, and processor time with ended child processes."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return np.array([time.perf_counter(), sum(one.ru_utime + one.ru_stime for one in used)])


def row(*cells: object) -> None:
    """Print a row of a Markdown table."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def header(title: str, *cells: str) -> None:
    """Print a heading and the header of a table."""
    print(f"\n### {title}\n")
    row(*cells)
    row(*("---" for _ in cells))
