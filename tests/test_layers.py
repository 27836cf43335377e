"""Who may import whom: `ray` under jobs/ only, `encoder/` nothing of the other rooms, the config nothing slow."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Minutes long and run by hand, and the server that the tests of an object store run on.
BENCHMARKS = {Path(f"jobs/bench/{name}.py") for name in ("evaluate", "separate", "store", "train", "object_store")}


def imported(path: Path) -> set[str]:
    """Return the top-level packages that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize(
    ("room", "forbidden"), [("pipeline", {"ray", "jobs"}), ("encoder", {"ray", "pipeline", "jobs"})])
def test_a_room_does_not_reach_out(room, forbidden):
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    assert {str(path.relative_to(ROOT)): reached for path in files if (reached := imported(path) & forbidden)} == {}


def test_what_every_command_and_worker_imports_is_not_slow():
    slow = {"torch", "pandas", "pyarrow", "av", "sklearn", "scipy", "umap", "hdbscan", "numba", "matplotlib"}
    code = f"import pipeline.config, sys; print(*({slow} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_every_source_file_has_its_test():
    rooms = ("pipeline", "encoder", "jobs")
    sources = [path.relative_to(ROOT) for room in rooms for path in (ROOT / room).rglob("*.py")]
    wanted = [path for path in sources if path.name != "__init__.py" and path not in BENCHMARKS]
    assert [str(path) for path in wanted if not (ROOT / "tests" / path.parent / f"test_{path.name}").exists()] == []
