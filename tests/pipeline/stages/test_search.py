"""Search among voices in tables; tests/jobs/test_search.py searches by files from outside."""

import numpy as np
import pandas as pd
import pytest

from pipeline.scoring import scores
from pipeline.stages.search import Search
from pipeline.store import tables
from pipeline.store.errors import ConfigError
from pipeline.store.workspace import Workspace


@pytest.fixture
def voices(workspace: Workspace) -> tuple[list[str], np.ndarray]:
    """Write 60 voices of 6 singers, in parts, with tags; return ids and vectors."""
    rng = np.random.default_rng(0)
    who = np.arange(60) % 6
    vectors = 2 * rng.normal(size=16) + rng.normal(size=(6, 16))[who] + 0.3 * rng.normal(size=(60, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    ids = [f"{i:032x}" for i in range(60)]
    for part in range(4):
        rows = [{"track_id": ids[i], "embedding": vectors[i].tolist()} for i in range(part, 60, 4)]
        tables.write(workspace, "voices", rows, str(part))
    uris = [f"/music/singer {w}/{i}.mp3" for i, w in enumerate(who)]
    files = pd.DataFrame({"track_id": [*ids, "silent"], "uri": [*uris, "/music/mute.mp3"]})
    tables.write(workspace, "files", files, "a")
    tables.replace(workspace, "tracks", pd.DataFrame({"track_id": ids, "uri": uris, "artist": None, "title": "T"}))
    tables.replace(workspace, "tags", pd.DataFrame({"track_id": ids, "vocalist": [f"Singer {w}" for w in who]}))
    return ids, vectors


def brute(ids: list[str], vectors: np.ndarray, row: int, k: int) -> dict[str, float]:
    """Return the nearest others of one voice, best first, and their cosines, computed literally."""
    centred = vectors.astype(np.float64) - vectors.mean(0, dtype=np.float64)
    cosine = [centred[row] @ other / np.linalg.norm(centred[row]) / np.linalg.norm(other) for other in centred]
    return {ids[i]: cosine[i] for i in [i for i in np.argsort(cosine)[::-1] if i != row][:k]}


def test_a_search_by_a_track_is_exact_and_leaves_it_out(workspace, voices, monkeypatch):
    monkeypatch.setattr(scores, "BLOCK", 7)
    ids, vectors = voices
    found, nearest = Search(workspace).like(ids[8], 12), brute(ids, vectors, 8, 12)
    assert found["track_id"].tolist() == list(nearest)
    assert found["score"].tolist() == pytest.approx(list(nearest.values()), abs=1e-4)
    assert found["rank"].tolist() == list(range(1, 13))
    assert found["score"].is_monotonic_decreasing
    assert (found["vocalist"][:9] == "Singer 2").all()


def test_a_track_may_be_named_by_its_path(workspace, voices):
    by_id = Search(workspace).like(voices[0][8], 5)
    assert Search(workspace).like("/music/singer 2/8.mp3", 5).equals(by_id)
    assert Search(workspace).like("singer 2/8.mp3", 5).equals(by_id)


def test_a_search_by_vocalist_finds_similar_tracks_of_others(workspace, voices):
    found = Search(workspace).by_vocalist("singer 2", 60)
    assert len(found) == 50
    assert "Singer 2" not in set(found["vocalist"])


def test_asking_for_more_than_there_are_returns_all(workspace, voices):
    assert len(Search(workspace).like(voices[0][0], 1000)) == 59


@pytest.mark.parametrize(
    ("track", "said"), [("nowhere.mp3", "neither a track"), ("/music/mute.mp3", "no voice"), ("mp3", "neither")]
)
def test_an_invalid_question_is_reported(workspace, voices, track, said):
    with pytest.raises(ConfigError, match=said):
        Search(workspace).like(track, 3)


def test_for_an_unknown_vocalist_the_nearest_names_are_offered(workspace, voices):
    with pytest.raises(ConfigError, match="did you mean Singer"):
        Search(workspace).by_vocalist("Singr 9", 3)


def test_a_workspace_without_voices_is_reported(workspace):
    with pytest.raises(ConfigError, match="run the stages up to embed"):
        Search(workspace).like("x", 3)


def test_a_removed_track_is_not_found(workspace, voices):
    ids, vectors = voices
    (gone,) = brute(ids, vectors, 0, 1)
    tracks = tables.read(workspace, "tracks")
    tables.replace(workspace, "tracks", tracks[tracks["track_id"] != gone])
    left = [at for at, track_id in enumerate(ids) if track_id != gone]
    nearest = brute([ids[at] for at in left], vectors[left], 0, 60)
    assert Search(workspace).like(ids[0], 60)["track_id"].tolist() == list(nearest)


def test_two_voices_are_not_centred(workspace):
    tables.write(
        workspace,
        "voices",
        [{"track_id": "a", "embedding": [1.0, 0.0]}, {"track_id": "b", "embedding": [0.6, 0.8]}],
        "a",
    )
    tables.write(workspace, "files", [{"track_id": "a", "uri": "/a.mp3"}, {"track_id": "b", "uri": "/b.mp3"}], "a")
    found = Search(workspace).like("a", 5)
    assert found["score"].tolist() == [0.6]
    assert found["vocalist"].tolist() == [""]


def test_a_search_by_a_file_needs_the_settings_that_made_the_voices(workspace, voices, tmp_path):
    (tmp_path / "x.mp3").write_bytes(b"not audio")
    with pytest.raises(ConfigError, match="does not say how it was made"):
        Search(workspace).like(str(tmp_path / "x.mp3"), 3)
