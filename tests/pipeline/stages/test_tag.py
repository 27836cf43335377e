"""Tagging on simulated voices, with a few known names, credits and clusters."""

import numpy as np
import pandas as pd
import pytest

from pipeline.people.names import key
from pipeline.scoring import crowd
from pipeline.scoring.backend import Backend, Numbers
from pipeline.scoring.metrics import NOISE
from pipeline.scoring.voices import Clips, Voices
from pipeline.sections import ClusterConfig, TagConfig
from pipeline.stages.cluster import cluster_voices
from pipeline.stages.tag import Tags, are_many, tag_voices, with_files

CONFIG = TagConfig()
DIM = 64
SCATTER = 0.8
NOBODY = pd.DataFrame({"track_id": [], "key": [], "name": []}, dtype=object)


def calibrated(scatter: float = SCATTER) -> Backend:
    """Return the calibrated back-end for voices of this scatter: Gaussian scores of variance 1 / DIM."""
    return Backend(np.zeros(DIM), np.eye(DIM), Numbers(1 / (1 + scatter**2), 0.01, DIM, DIM / 2, 0.0))


BACKEND = calibrated()


def catalogue(sizes: list[int], scatter: float = SCATTER) -> tuple[Voices, np.ndarray]:
    """Return voices, and who sings each."""
    rng = np.random.default_rng(1)
    who = np.repeat(np.arange(len(sizes)), sizes)
    rows = rng.normal(size=(len(sizes), DIM))[who] + scatter * rng.normal(size=(len(who), DIM))
    vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return Voices(np.array([f"{i:032x}" for i in range(len(who))], object), vectors, np.full(len(who), 60.0)), who


def clusters(voices: Voices) -> pd.DataFrame:
    """Return the clusters that the cluster stage makes, each with a name."""
    found = cluster_voices(voices, BACKEND, ClusterConfig(umap=False))
    return found.assign(voice=[None if label == NOISE else f"voice-{label:04d}" for label in found["cluster_id"]])


def alone(voices: Voices) -> pd.DataFrame:
    """Return clusters in which every voice is alone."""
    return pd.DataFrame({"cluster_id": np.full(len(voices), NOISE), "probability": 0.0})


def credited(voices: Voices, names: np.ndarray) -> pd.DataFrame:
    """Return a credit for each track."""
    return pd.DataFrame({"track_id": voices.track_ids, "key": [key(name) for name in names], "name": names})


@pytest.fixture(scope="module")
def tagged() -> tuple[Tags, np.ndarray]:
    """Return the tags of eight singers with six tracks each; the first track of the first four is known."""
    voices, who = catalogue([6] * 8)
    known = {voices.track_ids[6 * singer]: f"Singer {singer}" for singer in range(4)}
    return tag_voices(voices, BACKEND, clusters(voices), known, NOBODY, CONFIG), who


def test_enrolled_vocalists_are_found(tagged):
    tags, who = tagged
    rows = tags.rows
    assert rows["vocalist"][who < 4].tolist() == [f"Singer {singer}" for singer in who[who < 4]]
    assert (rows["source"][who < 4] == "enrolled").all()
    assert rows["probability"][::6][:4].eq(1).all(), "what was given is sure"
    assert rows["score"][::6][:4].isna().all()


def test_other_tracks_get_their_clusters_name_and_never_a_known_singers(tagged):
    rows, who = tagged[0].rows, tagged[1]
    assert rows["vocalist"][who >= 4].tolist() == [f"voice-{singer:04d}" for singer in who[who >= 4]]
    assert (rows["source"][who >= 4] == "cluster").all()
    assert rows["probability"].between(0, 1).all()


def test_uncertain_names_are_candidates_and_not_names():
    voices, who = catalogue([10] * 20, scatter=1.3)
    known = {voices.track_ids[10 * singer]: str(singer) for singer in range(20)}
    tags = tag_voices(voices, calibrated(1.3), alone(voices), known, NOBODY, CONFIG)
    found = tags.candidates.merge(tags.rows[["track_id", "source"]], on="track_id")
    assert (found["source"] != "enrolled").all()
    assert found.groupby("track_id").size().max() == 3
    assert (found.sort_values(["track_id", "rank"]).groupby("track_id")["probability"].diff().dropna() <= 0).all()
    assert found["probability"].max() < CONFIG.min_probability
    asked = ~tags.rows["track_id"].isin(list(known)).to_numpy()
    named = (tags.rows["source"] == "enrolled").to_numpy() & asked
    assert 0.05 < named[asked].mean() < 0.95, "some are sure and some are not"
    assert (tags.rows["vocalist"][named] == who[named].astype(str)).mean() >= 0.95


def test_strangers_are_not_named():
    voices, who = catalogue([6] * 5 + [1] * 60)
    known = {voices.track_ids[6 * singer]: str(singer) for singer in range(5)}
    rows = tag_voices(voices, BACKEND, clusters(voices), known, NOBODY, CONFIG).rows
    assert (rows["source"][who >= 5] == "enrolled").mean() <= 0.03
    assert (rows["source"][who < 5] == "enrolled").mean() > 0.9


def test_a_cluster_adds_evidence_for_its_tracks():
    voices, who = catalogue([8] * 10, scatter=1.2)
    known = {voices.track_ids[8 * singer]: str(singer) for singer in range(10)}
    truth = pd.DataFrame({"cluster_id": who, "probability": 0.95})

    def named(found: pd.DataFrame) -> int:
        tags = tag_voices(voices, calibrated(1.2), found, known, NOBODY, CONFIG)
        return int((tags.rows["source"] == "enrolled").sum())

    assert named(truth) > named(alone(voices)) + 5


def test_credits_enrol_a_person_and_an_uncredited_track_gets_the_name():
    voices, who = catalogue([6] * 6)
    names = np.array([f"Artist {singer}" for singer in who], object)
    credits = credited(voices, names).drop(index=[0])
    rows = tag_voices(voices, BACKEND, clusters(voices), {}, credits, CONFIG).rows
    assert (rows["vocalist"][0], rows["source"][0]) == ("Artist 0", "credited")
    assert np.isnan(rows["credit_probability"][0])
    assert (rows["credit_probability"][1:] > 0.9).all()
    without = tag_voices(voices, BACKEND, clusters(voices), {}, credits, TagConfig(use_credits=False)).rows
    assert (without["source"] == "cluster").all()
    assert without["credit_probability"].isna().all()


def test_among_many_people_the_nearest_tracks_are_computed_if_they_are_not_given(monkeypatch):
    voices, who = catalogue([6] * 10)
    credits = credited(voices, np.array([f"Artist {singer}" for singer in who], object)).drop(index=[0])
    among_few = tag_voices(voices, BACKEND, clusters(voices), {}, credits, CONFIG).rows
    monkeypatch.setattr(crowd, "ALL", 9)
    assert are_many({}, credits, CONFIG) and not are_many({}, credits, TagConfig(use_credits=False))
    among_many = tag_voices(voices, BACKEND, clusters(voices), {}, credits, CONFIG).rows
    pd.testing.assert_frame_equal(among_many, among_few, atol=0.02)


def test_only_swapped_credits_disagree():
    voices, who = catalogue([6] * 10)
    names = np.array([f"Artist {singer}" for singer in who], object)
    names[[0, 30]] = names[[30, 0]]
    rows = tag_voices(voices, BACKEND, clusters(voices), {}, credited(voices, names), CONFIG).rows
    assert np.flatnonzero(rows["disagrees"]).tolist() == [0, 30]
    assert rows["vocalist"][[0, 30]].tolist() == ["Artist 0", "Artist 5"], "the voice says who it is"


def test_a_known_name_and_a_credit_are_one_person_and_a_band_is_not_its_singer():
    voices, who = catalogue([6] * 6)
    names = np.array([f"Artist {singer}" for singer in who], object)
    names[who == 1] = "The Band"
    known = {voices.track_ids[0]: "ARTIST 0", voices.track_ids[6]: "Ann"}
    rows = tag_voices(voices, BACKEND, clusters(voices), known, credited(voices, names), CONFIG).rows
    assert set(rows["vocalist"][who == 0]) == {"ARTIST 0"}
    assert set(rows["vocalist"][who == 1]) == {"Ann"}
    assert (rows["source"][who < 2] == "enrolled").all()
    assert not rows["disagrees"].any()


def test_a_known_track_that_does_not_fit_the_others_is_reported_and_not_used():
    voices, who = catalogue([8] * 6)
    known = {voices.track_ids[i]: "Ann" for i in (0, 1, 2, 8)}
    tags = tag_voices(voices, BACKEND, clusters(voices), known, NOBODY, CONFIG)
    doubted = tags.rows.dropna(subset="doubt")
    assert doubted[["track_id", "vocalist", "doubt"]].values.tolist() == [[voices.track_ids[8], "Ann", "misfit"]]
    assert doubted["probability"].item() < 0.5, "said, and not sure of it"
    assert (tags.rows["probability"][[0, 1, 2]] == 1).all()
    assert set(tags.rows["vocalist"][(who == 0)]) == {"Ann"}
    assert tags.rows["vocalist"][who == 1].tolist()[1:] == ["voice-0001"] * 7


def test_two_known_tracks_that_do_not_sound_like_one_voice_are_both_reported():
    voices, _ = catalogue([8] * 6)
    known = {voices.track_ids[i]: "Ann" for i in (0, 8)}
    rows = tag_voices(voices, BACKEND, clusters(voices), known, NOBODY, CONFIG).rows
    assert rows["doubt"].dropna().to_dict() == {0: "unlike", 8: "unlike"}


def test_a_duet_known_for_one_singer_does_not_enrol_the_other():
    voices, who = catalogue([8] * 6)
    parts = np.repeat(voices.means[[0, 8]], 3, axis=0)
    voices.means[0] = parts.mean(0)
    clips = Clips(parts, np.arange(6) * 10.0, np.full(6, 10.0), np.zeros(6, int))
    credits = pd.DataFrame({"track_id": voices.track_ids[[0, 0]], "key": ["ann", "bob"], "name": ["Ann", "Bob"]})
    for others, doubt in (((), "two voices"), ((1, 2), "second voice")):
        known = {voices.track_ids[i]: "Ann" for i in (0, *others)}
        rows = tag_voices(voices, BACKEND, alone(voices), known, credits, CONFIG, clips).rows
        assert rows["doubt"].dropna().to_dict() == {0: doubt}
        assert not (rows["vocalist"][who == 1] == "Ann").any()
    assert (rows["vocalist"][who == 0] == "Ann").all()


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_catalogues_of_up_to_five_tracks(n: int):
    voices, _ = catalogue([3, 3])
    few = voices[np.arange(n)]
    known = {voices.track_ids[0]: "Ann", "not-there": "Bob"}
    rows = tag_voices(few, BACKEND, clusters(few), known, NOBODY, CONFIG).rows
    assert len(rows) == n
    assert n == 0 or rows["vocalist"][0] == "Ann"


def test_with_files_shows_the_surest_disagreements_first():
    tags = pd.DataFrame(
        {
            "track_id": ["a", "b", "c"],
            "vocalist": "Ann",
            "score": 0.5,
            "probability": 0.9,
            "source": "enrolled",
            "credit_probability": [0.99, 0.2, 0.1],
            "disagrees": [False, True, True],
        }
    )
    tracks = pd.DataFrame(
        {
            "track_id": ["a", "b", "c"],
            "uri": ["/a", "/b", "/c"],
            "title": ["A", None, "C"],
            "artist": ["Ann", "Bob", "Cy"],
        }
    )
    rows = with_files(tags, tracks)
    assert rows["track_id"].tolist() == ["c", "b", "a"]
    assert rows["file_artist"].tolist() == ["Cy", "Bob", "Ann"]
