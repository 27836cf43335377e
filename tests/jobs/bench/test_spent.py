import time

import pytest

from jobs.bench.spent import run

BUSY = (
    "import time\nend = time.process_time() + 0.6\nheld = bytearray(100_000_000)\nwhile time.process_time() < end: pass"
)


def test_what_child_processes_take_counts(tmp_path):
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}], check=True); print('done')"
    began = time.perf_counter()
    spent = run(["-c", outer], tmp_path / "log.txt")
    assert 0.3 < spent.cpu_s <= spent.seconds + 0.5
    assert spent.seconds <= time.perf_counter() - began
    assert 0.1 < spent.memory_gb < 1
    assert (tmp_path / "log.txt").read_text() == "done\n"


def test_a_command_that_fails_says_where_to_look(tmp_path):
    with pytest.raises(RuntimeError, match=r"ended with 3: see .*log.txt"):
        run(["-c", "raise SystemExit(3)"], tmp_path / "log.txt")
