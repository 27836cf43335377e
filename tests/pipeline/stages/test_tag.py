"""Tagging on simulated voices, with a few known names."""

import numpy as np
import pandas as pd
import pytest

from pipeline.scoring.scores import AsNorm
from pipeline.sections import TagConfig
from pipeline.stages.tag import Scorer, calibrate, name_clusters, tag_voices, with_files

CONFIG = TagConfig()


def catalogue(sizes: list[int], scatter: float = 0.8, dim: int = 64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ids (n,), unit vectors (n, dim) that all lean to one side, and singers (n,)."""
    rng = np.random.default_rng(1)
    who = np.repeat(np.arange(len(sizes)), sizes)
    rows = 2 * rng.normal(size=dim) + rng.normal(size=(len(sizes), dim))[who]
    rows += scatter * rng.normal(size=(len(who), dim))
    ids = np.array([f"{i:032x}" for i in range(len(who))])
    return ids, (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), who


@pytest.fixture(scope="module")
def tagged() -> tuple[pd.DataFrame, np.ndarray]:
    """Eight singers, six tracks each, the first track of the first four known; clusters as they truly are."""
    ids, vectors, who = catalogue([6] * 8)
    known = {ids[6 * singer]: f"Singer {singer}" for singer in range(4)}
    return tag_voices(ids, vectors, who, known, CONFIG), who


def test_enrolled_vocalists_are_found(tagged: tuple[pd.DataFrame, np.ndarray]):
    tags, who = tagged
    expected = [f"Singer {singer}" for singer in who[who < 4]]
    assert tags["vocalist"][who < 4].tolist() == expected
    assert (tags["source"][who < 4] == "enrolled").all()
    assert tags["probability"][::6][:4].eq(1).all(), "what was given is sure"


def test_others_are_named_from_their_cluster_and_never_after_a_known_singer(tagged):
    tags, who = tagged
    assert tags["vocalist"][who >= 4].tolist() == [f"voice-{singer - 3:04d}" for singer in who[who >= 4]]
    assert (tags["source"][who >= 4] == "cluster").all()


def test_scores_and_probabilities_are_whole(tagged):
    tags, _ = tagged
    assert tags["score"].between(-1, 1.0001).all()
    assert tags["probability"].between(0, 1).all()


def test_without_clusters_strangers_stay_unknown():
    ids, vectors, who = catalogue([10, 10] + [1] * 20, scatter=0.4)
    clusters = np.where(who < 2, who, -1)
    tags = tag_voices(ids, vectors, clusters, {ids[0]: "Ann"}, CONFIG)
    assert (tags["vocalist"][who == 0] == "Ann").all()
    strangers = tags[who >= 2]
    assert (strangers["source"] == "unknown").all()
    assert strangers["vocalist"].isna().all()
    assert (strangers["probability"] < CONFIG.min_probability).all()


def test_probability_is_about_how_often_it_is_right():
    ids, vectors, who = catalogue([12] * 20, scatter=2.2, dim=32)
    known = {ids[12 * singer]: str(singer) for singer in range(20)}
    tags = tag_voices(ids, vectors, who, known, TagConfig(cluster_weight=0, min_probability=0.01))
    asked = ~np.isin(ids, list(known))
    right = (tags["vocalist"] == [str(singer) for singer in who])[asked]
    assert 0.2 < right.mean() < 0.98, "a test of calibration needs some mistakes"
    assert abs(tags["probability"][asked].mean() - right.mean()) < 0.15


def test_cluster_speaks_for_its_tracks():
    ids, vectors, who = catalogue([8] * 10, scatter=2.0)
    known = {ids[8 * singer]: str(singer) for singer in range(10)}
    asked = ~np.isin(ids, list(known))

    def accuracy(weight: float) -> float:
        tags = tag_voices(ids, vectors, who, known, TagConfig(cluster_weight=weight, min_probability=0))
        return float((tags["vocalist"] == [str(singer) for singer in who])[asked].mean())

    assert accuracy(0.3) > accuracy(0.0)


def test_as_norm_changes_scores_and_keeps_names():
    ids, vectors, who = catalogue([6] * 8)
    known = {ids[6 * singer]: str(singer) for singer in range(8)}
    plain = tag_voices(ids, vectors, who, known, CONFIG)
    normed = tag_voices(ids, vectors, who, known, TagConfig(as_norm=True, as_norm_top=20))
    assert (normed["vocalist"] == plain["vocalist"]).all()
    assert normed["score"].max() > 1.5, "AS-norm's scores are deviations, not cosines"


def test_a_cluster_takes_the_name_found_on_most_of_its_tracks():
    ids = np.array(list("abcdefghi"))
    clusters = np.array([0, 0, 0, 1, 1, 2, 2, -1, 3])
    vocalist = np.array(["Ann", "Ann", None, "Bob", None, None, None, "Ann", None], object)
    assert name_clusters(ids, clusters, vocalist) == {0: "Ann", 1: "voice-0001", 2: "voice-0002", 3: "voice-0003"}


def test_voice_names_go_by_size_then_by_smallest_track():
    ids = np.array(list("zyxcba"))
    clusters = np.array([5, 5, 5, 1, 0, 0])
    assert name_clusters(ids, clusters, np.full(6, None)) == {5: "voice-0001", 0: "voice-0002", 1: "voice-0003"}
    shuffled = np.array([3, 0, 5, 1, 4, 2])
    again = name_clusters(ids[shuffled], clusters[shuffled], np.full(6, None))
    assert again == {5: "voice-0001", 0: "voice-0002", 1: "voice-0003"}


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_tiny_catalogues(n: int):
    ids, vectors, _ = catalogue([3, 3])
    tags = tag_voices(ids[:n], vectors[:n], np.full(n, -1), {ids[0]: "Ann", "not-there": "Bob"}, CONFIG)
    assert len(tags) == n
    assert n == 0 or tags["vocalist"][0] == "Ann"


def test_calibration_falls_back_to_the_config():
    _, vectors, _ = catalogue([4, 4])
    nothing = np.full(8, -1)
    found = calibrate(vectors, nothing, nothing, Scorer(None), CONFIG, np.random.default_rng(0))
    assert (found.slope, found.intercept) == (CONFIG.slope, CONFIG.intercept)
    one_cluster = calibrate(vectors, np.zeros(8, int), nothing, Scorer(None), CONFIG, np.random.default_rng(0))
    assert one_cluster.slope == CONFIG.slope


def test_scorer_agrees_with_itself():
    _, vectors, _ = catalogue([5] * 6)
    for scorer in (Scorer(None), Scorer(AsNorm(vectors, 10))):
        left, right = np.arange(10), np.arange(10, 20)
        pairs = scorer.pairs(vectors, left, right)
        np.testing.assert_allclose(np.diag(scorer.matrix(vectors[left], vectors[right])), pairs, atol=2e-5)


def test_with_files_lists_disagreements():
    tags = pd.DataFrame({"track_id": ["b", "a"], "vocalist": ["Ann", "Ann"], "score": 0.5, "probability": 0.9,
                         "source": "enrolled"})
    tracks = pd.DataFrame({"track_id": ["a", "b"], "uri": ["/a", "/b"], "title": ["A", None],
                           "artist": ["Ann", "Bob"]})
    rows = with_files(tags, tracks, {"a": "Ann"})
    assert rows["track_id"].tolist() == ["a", "b"]
    assert rows["disagrees"].tolist() == [False, True]
