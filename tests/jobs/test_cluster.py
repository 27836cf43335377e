import numpy as np

from jobs import cluster, engine
from pipeline.store import tables
from pipeline.store.workspace import Workspace


def voices(workspace: Workspace, n: int) -> None:
    """Write `n` voices of three singers."""
    rng = np.random.default_rng(0)
    singers = rng.normal(size=(3, 16))
    for i in range(n):
        vector = singers[i % 3] + 0.2 * rng.normal(size=16)
        row = {
            "track_id": f"{i:032x}",
            "encoder_id": "e",
            "n_clips": 1,
            "spread": 0.0,
            "embedding": (vector / np.linalg.norm(vector)).tolist(),
        }
        tables.write(workspace, "voices", [row], str(i))


def test_every_voice_has_a_row(chain_workspace):
    clusters = tables.read(chain_workspace, "clusters")
    assert set(clusters["track_id"]) == tables.keys(chain_workspace, "voices", "track_id")
    assert clusters.notna().all().all()


def test_a_second_run_skips_and_new_voices_do_not(workspace, make_config, capsys):
    config = make_config()
    voices(workspace, 12)
    assert engine.execute(cluster.STAGE, config) == 0
    assert "12 tracks done" in capsys.readouterr().out
    assert engine.execute(cluster.STAGE, config) == 0
    assert "0 tracks done, 12 skipped" in capsys.readouterr().out
    voices(workspace, 15)
    assert engine.execute(cluster.STAGE, config) == 0
    assert len(tables.read(workspace, "clusters")) == 15


def test_other_settings_replace_the_clusters_and_drop_the_tags(workspace, make_config):
    voices(workspace, 12)
    assert engine.execute(cluster.STAGE, make_config()) == 0
    tables.replace(workspace, "tags", [{"track_id": "stale"}])
    assert engine.execute(cluster.STAGE, make_config(cluster={"purity": 0.9999})) == 0
    assert (tables.read(workspace, "clusters")["cluster_id"] == -1).all()
    assert tables.parts(workspace, "tags") == []


def test_two_voices_are_scored_as_well_as_many(workspace, make_config, capsys):
    voices(workspace, 2)
    assert engine.execute(cluster.STAGE, make_config()) == 0
    assert "2 voices: 0 clusters of 0 tracks, 2 in none" in capsys.readouterr().out


def test_an_encoder_without_a_calibration_is_said(workspace, make_config, capsys):
    voices(workspace, 2)
    assert engine.execute(cluster.STAGE, make_config()) == 0
    assert "the encoder e has no calibration" in capsys.readouterr().out


def test_without_voices_it_says_what_to_run(make_config, capsys):
    assert engine.guarded(lambda: engine.execute(cluster.STAGE, make_config())) == 2
    assert "run the embed stage first" in capsys.readouterr().err
