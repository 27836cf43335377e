"""What holds for every source file; `make lint` checks the imports between packages (pyproject.toml)."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Benches that take minutes and are run by hand, and the server on which tests of an object store run.
BENCHMARKS = {
    Path(f"jobs/bench/{name}.py")
    for name in ("answers", "grouping", "evaluate", "separate", "store", "train", "teach", "object_store")
}


def test_importing_the_config_loads_no_slow_module():
    slow = {"torch", "pandas", "pyarrow", "av", "sklearn", "scipy", "umap", "hdbscan", "numba", "matplotlib"}
    code = f"import pipeline.config, sys; print(*({slow} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_one_file_of_the_pipeline_and_its_jobs_reads_parquet():
    sources = [path for room in ("pipeline", "jobs") for path in (ROOT / room).rglob("*.py")]
    found = {
        str(path.relative_to(ROOT))
        for path in sources
        if re.search(r"pyarrow\.(parquet|dataset)|from pyarrow import .*(parquet|dataset)", path.read_text())
    }
    assert found == {"pipeline/store/parquet.py"}


def test_commands_without_a_network_do_not_wait_for_torch():
    commands = ", ".join(f"jobs.{name}" for name in "scan shard cluster tag report search export submit".split())
    code = f"import sys, {commands}; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False"]


def test_every_source_file_has_its_test():
    rooms = ("pipeline", "encoder", "jobs")
    sources = [path.relative_to(ROOT) for room in rooms for path in (ROOT / room).rglob("*.py")]
    wanted = [path for path in sources if path.name != "__init__.py" and path not in BENCHMARKS]
    assert [str(path) for path in wanted if not (ROOT / "tests" / path.parent / f"test_{path.name}").exists()] == []
