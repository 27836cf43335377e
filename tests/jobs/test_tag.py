from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jobs import engine, tag
from pipeline.scoring import crowd, kept, neighbours
from pipeline.store import tables
from pipeline.store.workspace import Workspace


@pytest.fixture
def clustered(workspace: Workspace) -> Workspace:
    """Write 16 voices of 4 singers with their clusters; the last file of singer 3 is tagged with another name."""
    rng = np.random.default_rng(0)
    who = np.arange(16) // 4
    vectors = rng.normal(size=(4, 32))[who] + 0.2 * rng.normal(size=(16, 32))
    ids = [f"{i:032x}" for i in range(16)]
    artists = [f"Singer {w}" for w in who[:-1]] + ["Somebody Else"]
    files = pd.DataFrame(
        {"track_id": ids, "uri": [f"/music/{i}.mp3" for i in range(16)], "artist": artists, "title": "T"}
    )
    silent = pd.DataFrame({"track_id": ["silent"], "uri": ["/music/silent.mp3"]})
    tables.write(workspace, "files", pd.concat([files, silent]), "a")
    tables.replace(workspace, "tracks", pd.concat([files, silent]))
    tables.write(
        workspace,
        "voices",
        [
            {
                "track_id": i,
                "encoder_id": "e",
                "n_clips": 1,
                "spread": 0.0,
                "embedding": (v / np.linalg.norm(v)).tolist(),
            }
            for i, v in zip(ids, vectors, strict=True)
        ],
        "a",
    )
    tables.replace(
        workspace,
        "clusters",
        pd.DataFrame(
            {
                "track_id": ids,
                "cluster_id": who.astype("int32"),
                "voice": [f"voice-{w + 5:04d}" for w in who],
                "probability": 1.0,
                "outlier_score": 0.0,
                "x": 0.0,
                "y": 0.0,
            }
        ),
    )
    return workspace


def known(tmp_path: Path, *rows: str) -> str:
    """Write known names and return their path."""
    path = tmp_path / "known.csv"
    path.write_text("\n".join(["track,vocalist", *rows]) + "\n")
    return str(path)


def test_chain_tags_every_voice(chain_workspace):
    tags = tables.read(chain_workspace, "tags")
    assert set(tags["track_id"]) == tables.keys(chain_workspace, "voices", "track_id")
    assert set(tags["source"]) <= {"enrolled", "credited", "cluster", "unknown"}
    assert tags["probability"].dropna().between(0, 1).all()
    assert (tags["vocalist"].isna() == (tags["source"] == "unknown")).all()


def test_tags_come_from_known_names_and_clusters(clustered, make_config, tmp_path, capsys):
    path = known(
        tmp_path, "/music/0.mp3,Singer 0", "/music/4.mp3,Singer 1", "gone.mp3,Nobody", "/music/silent.mp3,Singer 3"
    )
    assert engine.execute(tag.STAGE, make_config(known=path, tag={"use_credits": False})) == 0
    said = capsys.readouterr().out
    assert "1 known tracks match no track of the catalogue: gone.mp3" in said
    assert "1 known tracks have no voice" in said
    tags = tables.read(clustered, "tags").sort_values("track_id")
    assert tags["vocalist"].tolist() == ["Singer 0"] * 4 + ["Singer 1"] * 4 + ["voice-0007"] * 4 + ["voice-0008"] * 4
    assert "silent" not in set(tags["track_id"])
    review = tables.read(clustered, "review")
    assert [int(track_id, 16) // 4 for track_id in review["track_id"][:2]] in ([2, 3], [3, 2])
    assert review["reason"][0] == "unnamed voice" and review["n_tracks"][0] == 4
    assert review["uri"][0] == f"/music/{int(review['track_id'][0], 16)}.mp3"
    assert review["file_artist"][0] in review["candidates"][0]


def test_credits_name_tracks_and_the_wrong_one_is_reported(clustered, make_config, capsys):
    files = tables.read(clustered, "tracks")
    files.loc[files["track_id"] == f"{15:032x}", "artist"] = "Singer 1"
    tables.replace(clustered, "tracks", files)
    assert engine.execute(tag.STAGE, make_config()) == 0
    assert "1 credits are very likely wrong" in capsys.readouterr().out
    tags = tables.read(clustered, "tags")
    assert tags["file_artist"][0] == "Singer 1" and tags["disagrees"].tolist() == [True] + [False] * 15
    assert tags["vocalist"][0] == "Singer 3" and (tags["source"] == "credited").all()
    assert len(tables.read(clustered, "candidates")) == 0
    asked = tables.read(clustered, "review")
    assert asked["track_id"].tolist() == [f"{15:032x}"] and asked["reason"][0] == "credit in doubt"
    assert list(asked["candidates"][0]) == ["Singer 3", "Singer 1"]


def test_in_a_large_catalogue_tracks_are_compared_by_way_of_the_stored_neighbours(
    clustered, make_config, capsys, monkeypatch
):
    assert engine.execute(tag.STAGE, make_config()) == 0
    among_few = tables.read(clustered, "tags")
    monkeypatch.setattr(neighbours, "EXACT", 10)
    monkeypatch.setattr(neighbours, "NEIGHBOURS", 5)
    monkeypatch.setattr(crowd, "ALL", 2)
    assert engine.execute(tag.STAGE, make_config(replace=True)) == 0
    assert clustered.exists(kept.LIST)
    pd.testing.assert_frame_equal(tables.read(clustered, "tags"), among_few, atol=0.02)


def test_without_known_names_clusters_name_the_tracks(clustered, make_config, capsys):
    assert engine.execute(tag.STAGE, make_config(tag={"use_credits": False})) == 0
    assert "no known names" in capsys.readouterr().out
    tags = tables.read(clustered, "tags")
    assert set(tags["vocalist"]) == {"voice-0005", "voice-0006", "voice-0007", "voice-0008"}


def test_a_cluster_that_loses_its_known_name_gets_its_own_back(clustered, make_config, tmp_path):
    names = []
    for path in (None, known(tmp_path, f"{0:032x},Ann"), None):
        assert engine.execute(tag.STAGE, make_config(known=path, tag={"use_credits": False})) == 0
        names.append(tables.read(clustered, "tags").set_index("track_id")["vocalist"].loc[f"{1:032x}"])
    assert names == ["voice-0005", "Ann", "voice-0005"]


def test_clusters_of_an_earlier_version_without_names_are_reported(clustered, make_config, capsys):
    tables.replace(clustered, "clusters", tables.read(clustered, "clusters").drop(columns="voice"))
    assert engine.execute(tag.STAGE, make_config(tag={"use_credits": False})) == 0
    assert "16 tracks are in clusters without a name" in capsys.readouterr().out
    assert (tables.read(clustered, "tags")["source"] == "unknown").all()


def test_files_of_one_recording_have_one_name_and_are_asked_about_once(clustered, make_config, tmp_path):
    copies = {f"{i:032x}": f"{8:032x}" for i in (9, 10, 11)}
    clusters = tables.read(clustered, "clusters")
    tables.replace(clustered, "clusters", clusters.assign(same_recording=clusters["track_id"].map(copies)))
    path = known(tmp_path, f"{10:032x},Cy")
    assert engine.execute(tag.STAGE, make_config(known=path, tag={"use_credits": False})) == 0
    tags = tables.read(clustered, "tags").set_index("track_id").sort_index()
    assert tags["same_recording"].dropna().to_dict() == copies
    assert tags["vocalist"].iloc[8:12].tolist() == ["Cy"] * 4
    assert len(tags) == 16 and tags.index.is_unique
    assert not set(tables.read(clustered, "review")["track_id"]) & set(copies)


def test_known_tracks_in_doubt_are_reported(clustered, make_config, tmp_path, capsys):
    path = known(tmp_path, *(f"{i:032x},Ann" for i in (0, 1, 4)), *(f"{i:032x},Bob" for i in (8, 12)))
    assert engine.execute(tag.STAGE, make_config(known=path, tag={"use_credits": False})) == 0
    told = capsys.readouterr().out
    assert f"1 known tracks do not sound like the others given for their vocalist and are not used: {4:032x}" in told
    assert (
        f"2 known tracks are the only two of their vocalist and do not sound like one voice: {8:032x}, {12:032x}"
        in told
    )
    doubt = tables.read(clustered, "tags").set_index("track_id")["doubt"].dropna()
    assert doubt.to_dict() == {f"{4:032x}": "misfit", f"{8:032x}": "unlike", f"{12:032x}": "unlike"}


def test_spellings_of_one_name_are_one_person_and_are_reported(clustered, make_config, tmp_path, capsys):
    path = known(tmp_path, f"{0:032x},Zoë Kern", f"{1:032x},ZOE KERN")
    assert engine.execute(tag.STAGE, make_config(known=path, tag={"use_credits": False})) == 0
    assert "Zoë Kern is also written ZOE KERN in the known names: taken for one person" in capsys.readouterr().out
    assert (tables.read(clustered, "tags")["vocalist"] == "Zoë Kern").sum() == 4


def test_new_known_names_replace_the_tags(clustered, make_config, tmp_path):
    assert engine.execute(tag.STAGE, make_config()) == 0
    assert engine.execute(tag.STAGE, make_config(known=known(tmp_path, f"{0:032x},Ann"))) == 0
    assert (tables.read(clustered, "tags")["vocalist"] == "Ann").sum() == 4


def test_an_invalid_list_of_known_names_is_reported(clustered, make_config, tmp_path, capsys):
    path = tmp_path / "known.csv"
    path.write_text("song,who\na,b\n")
    assert engine.guarded(lambda: engine.execute(tag.STAGE, make_config(known=str(path)))) == 2
    assert "need the columns track and vocalist" in capsys.readouterr().err


def test_voices_newer_than_the_clusters_are_reported(clustered, make_config, capsys):
    tables.write(clustered, "voices", [{"track_id": "new", "encoder_id": "e", "embedding": [1.0] + [0.0] * 31}], "new")
    tables.write(clustered, "tracks", [{"track_id": "new", "uri": "/music/new.mp3"}], "new")
    assert engine.execute(tag.STAGE, make_config()) == 0
    assert "1 voices came after clustering" in capsys.readouterr().out
    assert len(tables.read(clustered, "tags")) == 17


@pytest.mark.parametrize("new", ["nothing", "the same rows", "known", "settings", "clusters", "tracks", "replace"])
def test_tags_are_recomputed_only_if_something_is_new(clustered: Workspace, make_config, tmp_path: Path, new):
    names = known(tmp_path, "0.mp3,Ann")
    assert engine.execute(tag.STAGE, make_config(known=names)) == 0
    before = tables.made_of(clustered, "tags")
    settings: dict = {"known": names}
    if new == "known":
        known(tmp_path, "0.mp3,Ann", "4.mp3,Bob")
    elif new == "settings":
        settings["tag"] = {"min_probability": 0.9}
    elif new == "clusters":
        clusters = tables.read(clustered, "clusters")
        tables.replace(clustered, "clusters", clusters.assign(probability=0.9))
    elif new in ("the same rows", "tracks"):
        tracks = tables.read(clustered, "tracks")
        tables.replace(clustered, "tracks", tracks.assign(title="Live") if new == "tracks" else tracks)
    elif new == "replace":
        settings["replace"] = True
    assert engine.execute(tag.STAGE, make_config(**settings)) == 0
    runs = tables.read(clustered, "runs").sort_values("started_at")
    assert runs["skipped"].tolist()[-1] == (16 if new in ("nothing", "the same rows") else 0)
    assert (tables.made_of(clustered, "tags") == before) == (new in ("nothing", "the same rows", "replace"))
