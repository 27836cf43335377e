from collections.abc import Callable

import numpy as np
import pytest

from jobs import cluster, engine
from pipeline.config import Config
from pipeline.scoring.backend import Backend, Numbers
from pipeline.scoring.voices import calibration_name
from pipeline.store import provenance, tables
from pipeline.store.workspace import Workspace


@pytest.fixture
def make_config(make_config: Callable[..., Config]) -> Callable[..., Config]:
    """Return a function from settings of the stage to a config; the map is drawn without UMAP, which compiles first."""
    return lambda **settings: make_config(cluster={"umap": False} | settings)


def voices(workspace: Workspace, n: int, encoder_id: str = "e") -> None:
    """Write `n` voices of three singers in turn."""
    rng = np.random.default_rng(len(encoder_id))
    singers = rng.normal(size=(3, 16))
    for i in range(n):
        vector = singers[i % 3] + 0.2 * rng.normal(size=16)
        row = {
            "track_id": f"{i:032x}",
            "encoder_id": encoder_id,
            "n_clips": 1,
            "spread": 0.0,
            "embedding": (vector / np.linalg.norm(vector)).tolist(),
        }
        tables.write(workspace, "voices", [row], str(i))


def test_every_voice_has_a_row(chain_workspace):
    clusters = tables.read(chain_workspace, "clusters")
    assert set(clusters["track_id"]) == tables.keys(chain_workspace, "voices", "track_id")
    assert clusters.drop(columns=["voice", "same_recording"]).notna().all().all()
    assert (clusters["voice"].isna() == (clusters["cluster_id"] == -1)).all()


def test_a_second_run_does_nothing_until_there_are_new_voices(workspace, make_config, capsys):
    config = make_config()
    voices(workspace, 12)
    assert engine.execute(cluster.STAGE, config) == 0
    assert "12 tracks done" in capsys.readouterr().out
    assert engine.execute(cluster.STAGE, config) == 0
    assert "0 tracks done, 12 skipped" in capsys.readouterr().out
    voices(workspace, 15)
    assert engine.execute(cluster.STAGE, config) == 0
    assert len(tables.read(workspace, "clusters")) == 15


def test_other_settings_replace_the_clusters_and_discard_the_tags(workspace, make_config):
    voices(workspace, 12)
    assert engine.execute(cluster.STAGE, make_config()) == 0
    tables.replace(workspace, "tags", [{"track_id": "stale"}])
    assert engine.execute(cluster.STAGE, make_config(purity=0.9999)) == 0
    assert (tables.read(workspace, "clusters")["cluster_id"] == -1).all()
    assert tables.parts(workspace, "tags") == []


def test_another_calibration_replaces_the_clusters(workspace, make_config, capsys):
    voices(workspace, 12)
    for variance in (1.0, 2.0):
        backend = Backend(np.zeros(16), np.eye(16), Numbers(), "e", variance)
        workspace.write_bytes(calibration_name("e"), backend.to_bytes())
        assert engine.execute(cluster.STAGE, make_config()) == 0
        assert "12 tracks done, 0 skipped" in capsys.readouterr().out


def names(workspace: Workspace) -> dict[int, str]:
    """Return the name that each track has."""
    rows = tables.read(workspace, "clusters").dropna(subset="voice")
    return dict(zip(rows["track_id"].map(lambda track_id: int(track_id, 16)), rows["voice"], strict=True))


def changes(workspace: Workspace) -> list[tuple[str, str]]:
    """Return all changes of names, the oldest first."""
    rows = tables.read(workspace, "voice_changes").sort_values("changed_at", kind="stable")
    return list(zip(rows["change"], rows["voice"], strict=True))


FIRST = [("new", f"voice-{i:04d}") for i in (1, 2, 3)]


def test_names_stay_when_the_catalogue_grows(workspace, make_config, capsys):
    voices(workspace, 12)
    assert engine.execute(cluster.STAGE, make_config()) == 0
    assert "voices: 3 new" in capsys.readouterr().out
    first = names(workspace)
    assert [first[i] for i in range(6)] == ["voice-0001", "voice-0002", "voice-0003"] * 2
    voices(workspace, 24)
    assert engine.execute(cluster.STAGE, make_config()) == 0
    assert names(workspace) == {i: first[i % 3] for i in range(24)}
    assert changes(workspace) == FIRST


def test_names_return_after_other_settings_and_survive_replace_and_another_encoder(workspace, make_config):
    voices(workspace, 12)
    assert engine.execute(cluster.STAGE, make_config()) == 0
    first = names(workspace)
    assert engine.execute(cluster.STAGE, make_config(purity=0.9999)) == 0
    assert names(workspace) == {}
    provenance.discard(workspace, "embed")
    voices(workspace, 12, "another")
    assert engine.execute(cluster.STAGE, make_config()) == 0
    assert names(workspace) == first
    gone, back = ([(change, voice) for _, voice in FIRST] for change in ("gone", "back"))
    assert changes(workspace) == FIRST + gone + back


@pytest.mark.parametrize("written", [["voice_changes"], ["voice_changes", "voice_tracks"]])
def test_a_run_killed_between_two_tables_is_repaired_by_the_next(workspace, make_config, written):
    voices(workspace, 12)
    assert engine.execute(cluster.STAGE, make_config()) == 0
    before = {name: workspace.read_bytes(f"{name}/part-0.parquet") for name in ("clusters", "voice_tracks")}
    voices(workspace, 13)
    assert engine.execute(cluster.STAGE, make_config(purity=0.9999)) == 0
    for name in before.keys() - set(written):
        workspace.write_bytes(f"{name}/part-0.parquet", before[name])
    voices(workspace, 14)
    assert engine.execute(cluster.STAGE, make_config(purity=0.9999)) == 0
    assert changes(workspace) == FIRST + [("gone", voice) for _, voice in FIRST]


def test_clusters_of_an_earlier_version_are_given_names(workspace, make_config):
    voices(workspace, 12)
    assert engine.execute(cluster.STAGE, make_config()) == 0
    tables.replace(workspace, "clusters", tables.read(workspace, "clusters").drop(columns="voice"))
    assert engine.execute(cluster.STAGE, make_config()) == 0
    assert len(names(workspace)) == 12


def test_nine_files_of_one_recording_make_no_cluster(workspace, make_config, capsys):
    voices(workspace, 6)
    rng = np.random.default_rng(5)
    clips = rng.normal(size=(5, 16))
    start = np.cumsum(rng.uniform(5, 9, 5))
    for i in range(9):
        vectors = clips + 0.05 * rng.normal(size=clips.shape)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        mean = vectors.mean(0)
        row = {"track_id": f"copy {i}", "encoder_id": "e", "n_clips": 5, "spread": 0.0}
        tables.write(workspace, "voices", [row | {"embedding": (mean / np.linalg.norm(mean)).tolist()}], f"copy {i}")
        rows = [
            {"track_id": f"copy {i}", "start_s": at, "end_s": at + 4.5 - 0.1 * (i > 0), "embedding": vector.tolist()}
            for at, vector in zip(start + 0.1 * i, vectors, strict=True)
        ]
        tables.write(workspace, "embeddings", rows, f"copy {i}")
    assert engine.execute(cluster.STAGE, make_config()) == 0
    assert "8 tracks are further files of a recording that is there already: it counts once" in capsys.readouterr().out
    found = tables.read(workspace, "clusters").set_index("track_id")
    copies = found.loc[[f"copy {i}" for i in range(9)]]
    assert copies["same_recording"].fillna("").tolist() == ["", *["copy 0"] * 8]
    assert (copies["cluster_id"] == -1).all() and copies["voice"].isna().all()
    assert found["same_recording"].notna().sum() == 8


def test_two_voices_are_scored_as_well_as_many(workspace, make_config, capsys):
    voices(workspace, 2)
    assert engine.execute(cluster.STAGE, make_config()) == 0
    assert "2 voices: 0 clusters of 0 tracks, 2 in none" in capsys.readouterr().out


def test_an_encoder_without_a_calibration_is_reported(workspace, make_config, capsys):
    voices(workspace, 2)
    assert engine.execute(cluster.STAGE, make_config()) == 0
    assert "the encoder e has no calibration" in capsys.readouterr().out


def test_without_voices_it_says_what_to_run(make_config, capsys):
    assert engine.guarded(lambda: engine.execute(cluster.STAGE, make_config())) == 2
    assert "run the embed stage first" in capsys.readouterr().err
