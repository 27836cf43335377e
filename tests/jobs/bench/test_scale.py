"""A short run of `make bench-scale`: just enough tracks for an index, with generous bounds on memory and time."""

import pytest

from jobs.bench import scale
from pipeline.scoring import kept, neighbours
from pipeline.sections import ClusterConfig
from pipeline.store import tables
from pipeline.store.workspace import Workspace


@pytest.mark.slow
def test_ten_thousand_tracks_go_through_all_steps(tmp_path):
    spent: dict[str, scale.Spent] = {}
    folder = tmp_path / "run"
    config = ClusterConfig(umap=False)
    found = scale.measure(folder, 10_500, 0.03, config, spent.__setitem__, resume=False)
    again: dict[str, scale.Spent] = {}
    assert scale.measure(folder, 10_500, 0.03, config, again.__setitem__, resume=True) == found
    assert again == spent
    assert len(spent) == 16
    assert max(one.memory_gb for one in spent.values()) < 4
    workspace = Workspace(folder / "workspace")
    clusters = tables.read(workspace, "clusters")
    assert len(clusters) > neighbours.EXACT
    assert set(clusters["track_id"]) == tables.keys(workspace, "voices", "track_id")
    assert len(tables.parts(workspace, "clusters")) == 1
    assert len(workspace.list(kept.FOLDER)) == 2, "the list, and one piece that the new tracks were added to"
    assert all(n == 1 for name, n in found.items() if name.startswith("left: files of"))
    assert found["left: report, MB"] < 6
    assert found["neighbours: found of the exact"] > 0.95
    assert found["groups' precision"] > 0.95
    assert found["groups' recall"] > 0.7
    assert found["no credits: named right"] > 0.95
    assert found["credits: named right"] > 0.95
