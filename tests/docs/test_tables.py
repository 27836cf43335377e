"""The tables page names every column, and its examples and those of the README run on a workspace."""

import re
from pathlib import Path

import duckdb
import numpy as np
import pytest

from pipeline.store import tables
from pipeline.store.schemas import SCHEMAS
from pipeline.store.workspace import Workspace

ROOT = Path(__file__).parents[2]
PAGES = {name: (ROOT / name).read_text() for name in ("README.md", "docs/tables.md")}
TRACKS = ("a" * 32, "b" * 32)


def examples(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page], re.DOTALL)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Return the workspace that the examples name, with two tracks of one vocalist."""
    monkeypatch.chdir(tmp_path)
    workspace = Workspace("workspace/mine")
    voices = np.eye(2, 192, dtype=np.float32)
    rows = [{"track_id": track_id, "uri": f"/{track_id[0]}.mp3", "duration_s": 1800.0} for track_id in TRACKS]
    tables.replace(workspace, "tracks", rows)
    tables.write(
        workspace,
        "voices",
        [{"track_id": track_id, "embedding": voice} for track_id, voice in zip(TRACKS, voices, strict=True)],
        "x",
    )
    tables.replace(
        workspace, "tags", [{"track_id": track_id, "vocalist": "Ella", "disagrees": False} for track_id in TRACKS]
    )
    tables.write(workspace, "failures", [{"stage": "scan", "error": "decode"}], "scan-x")
    return workspace


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_column_is_on_the_page(table):
    row = next(line for line in PAGES["docs/tables.md"].splitlines() if line.startswith(f"| `{table}/`"))
    assert [name for name in SCHEMAS[table].names if f"`{name}`" not in row] == []


@pytest.mark.parametrize("page", PAGES)
def test_sql_runs(workspace, page):
    found = [
        duckdb.sql(query).fetchall()
        for example in examples(page, "sql")
        for query in duckdb.extract_statements(example.replace("…", TRACKS[0]))
    ]
    assert all(found)
    assert [row[-1] for row in found[-1]] == [1.0, 0.0]  # itself, and the other track


@pytest.mark.parametrize("page", PAGES)
def test_python_runs(workspace, page):
    names = {"workspace": workspace.root}
    for example in examples(page, "python"):
        exec(example, names)
    if page == "README.md":
        assert (len(names["voices"]), names["vectors"].shape) == (2, (2, 192))
