"""The quick form of `make bench-scale`: as many tracks as ask for an index, with generous bounds on what it takes."""

from jobs.bench import scale
from pipeline.scoring import kept, neighbours
from pipeline.sections import ClusterConfig
from pipeline.store import tables
from pipeline.store.workspace import Workspace


def test_ten_thousand_tracks(tmp_path, capsys):
    spent, cells = scale.measure(tmp_path / "run", 10_500, 0.03, ClusterConfig(umap=False))
    scale.report({(0.03, 10_500): (spent, cells)})
    assert "10,500" in capsys.readouterr().out
    assert max(one.memory_gb for one in spent.values()) < 4
    workspace = Workspace(tmp_path / "run" / "workspace")
    clusters = tables.read(workspace, "clusters")
    assert len(clusters) > neighbours.EXACT
    assert set(clusters["track_id"]) == tables.keys(workspace, "voices", "track_id")
    assert len(tables.parts(workspace, "clusters")) == 1
    assert len(workspace.list(kept.FOLDER)) == 2, "the list, and one piece that the new tracks were added to"
    precision, recall, _ = map(float, cells[0].split(" / "))
    assert precision > 0.95
    assert recall > 0.7
    right = [float(cell.rstrip("%")) for cell in (cells[1], cells[3])]
    assert min(right) > 95
