"""What a command takes, including all processes that it starts; `jobs.bench.table.clock` measures this process."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

EVERY_S = 0.2


@dataclass(frozen=True)
class Spent:
    """What a command took.

    Attributes:
        seconds: wall-clock time.
        cpu_s: processor time of all its processes.
        memory_gb: peak of all its processes together; memory that they share counts once.
    """

    seconds: float
    cpu_s: float
    memory_gb: float


def run(arguments: list[str], log: Path) -> Spent:
    """Run Python with these arguments, add what it prints to a log, and return what it took.

    Raises:
        RuntimeError: it failed.
    """
    began, memory = time.perf_counter(), 0.0
    cpu: dict[tuple[int, float], float] = {}  # of each process that ever was
    with open(log, "a") as output:
        process = subprocess.Popen([sys.executable, *arguments], stdout=output, stderr=output)
        while True:
            running = process.poll() is None
            memory = max(memory, _look(process.pid, cpu))
            if not running:
                break
            time.sleep(EVERY_S)
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}: see {log}")
    return Spent(time.perf_counter() - began, sum(cpu.values()), memory)


def _look(pid: int, cpu: dict[tuple[int, float], float]) -> float:
    """Note the processor time of a process and all below it, and return their memory in GB."""
    own, shared = 0.0, 0.0
    try:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return 0.0
    for process in processes:
        try:
            used, memory = process.cpu_times(), process.memory_info()
            cpu[process.pid, process.create_time()] = used.user + used.system
        except psutil.Error:
            continue
        own, shared = own + memory.rss - memory.shared, max(shared, memory.shared)
    return (own + shared) / 1e9
