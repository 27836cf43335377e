import time

import pytest

from jobs.bench.spent import run

BUSY = (
    "import time\nend = time.process_time() + 0.6\nheld = bytearray(100_000_000)\nwhile time.process_time() < end: pass"
)


def test_time_and_memory_of_child_processes_count(tmp_path):
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}], check=True); print('done')"
    began = time.perf_counter()
    spent = run(["-c", outer], tmp_path / "log.txt")
    assert 0.3 < spent.cpu_s <= spent.seconds + 0.5
    assert spent.seconds <= time.perf_counter() - began
    assert 0.1 < spent.memory_gb < 1
    assert (tmp_path / "log.txt").read_text() == "done\n"


def test_a_failing_command_names_its_log(tmp_path):
    with pytest.raises(RuntimeError, match=r"ended with 3: see .*log.txt"):
        run(["-c", "raise SystemExit(3)"], tmp_path / "log.txt")
