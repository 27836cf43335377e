"""A short run of `make bench-day`, and its parts without a cluster."""

import itertools
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jobs.bench import day
from pipeline.stages import separate
from pipeline.store import tables
from pipeline.store.workspace import Workspace

N = 100
FLEET = day.Fleet(nodes=2, workers=2, life_s=8, gap_s=1)


def test_each_node_is_lost_and_replaced_in_turn():
    found = list(itertools.islice(day.changes(FLEET, np.random.default_rng(0)), 4000))
    assert found == list(itertools.islice(day.changes(FLEET, np.random.default_rng(0)), 4000))
    at_s = np.array([at for at, _ in found])
    assert (np.diff(at_s) >= 0).all()
    of_one = np.diff(at_s[[place == 0 for _, place in found]])
    np.testing.assert_allclose(of_one[::2], FLEET.gap_s)
    assert of_one[1::2].mean() == pytest.approx(FLEET.life_s, rel=0.15)


def test_after_the_last_loss_all_nodes_are_there():
    found = list(day.changes(replace(FLEET, losses=3), np.random.default_rng(0)))
    assert len(found) == 6
    assert all([place for _, place in found].count(place) % 2 == 0 for place in (0, 1))


def test_a_sleeping_worker_leaves_the_rows_that_separation_would(workspace: Workspace):
    tables.replace(workspace, "tracks", day.tracks(5, 0.01, np.random.default_rng(0)))
    todo, _ = day.pending(workspace)
    assert np.mean(todo["duration_s"]) == pytest.approx(0.01)
    outcomes = day.Sleeper(workspace.root)(todo)
    assert set(outcomes["status"].to_pylist()) == {"done"}
    todo, done = separate.pending(workspace)
    assert (len(todo), done) == (0, 5)


@pytest.mark.slow
def test_each_track_is_done_once_although_nodes_are_lost(tmp_path: Path):
    given = {
        "workspace": tmp_path,
        "tracks": N,
        "seconds": 0.3,
        "nodes": 2,
        "workers": 2,
        "life": 4,
        "gap": 1,
        "losses": 3,
    }
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    run = subprocess.run(
        [sys.executable, "-m", "jobs.bench.day", *words],
        cwd=Path(__file__).parents[3],
        env=os.environ | {"RAY_AUTH_MODE": "disabled"},
        capture_output=True,
        text=True,
        timeout=550,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    lost, done, failed = re.search(r"^\| (\d+) \| (\d+) \| (\d+) \|", run.stdout, re.MULTILINE).groups()
    assert 1 <= int(lost) <= 3
    assert (int(done), int(failed)) == (N, 0)
    found = tables.read(Workspace(tmp_path / str(N)), "vocals")["track_id"]
    expected = day.tracks(N, 0.3, np.random.default_rng(26))["track_id"]
    pd.testing.assert_series_equal(found.sort_values(ignore_index=True), expected)
