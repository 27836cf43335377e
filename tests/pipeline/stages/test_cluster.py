"""Clustering on simulated voices: directions of singers, with tracks scattered around them."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from pipeline.scoring.backend import Backend
from pipeline.scoring.voices import Voices
from pipeline.sections import ClusterConfig
from pipeline.stages.cluster import NOISE, by_size, cluster_voices, describe

CONFIG = ClusterConfig()
DIM = 64
LEAN = np.random.default_rng(7).normal(size=DIM)  # the direction that all vectors of this encoder have in common
BACKEND = Backend(LEAN / 13, np.eye(DIM), variance=0.6)


def catalogue(sizes: list[int], scatter: float = 0.8, seed: int = 0) -> tuple[Voices, np.ndarray]:
    """Return voices of singers with `sizes` tracks, all shifted to one side, and who sings each."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(len(sizes)), sizes)
    rows = LEAN + rng.normal(size=(len(sizes), DIM))[who] + scatter * rng.normal(size=(len(who), DIM))
    vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return Voices(np.array([f"{i:032x}" for i in range(len(who))]), vectors, np.full(len(who), 60.0)), who


def test_it_finds_the_singers_of_a_small_catalogue():
    voices, who = catalogue([6] * 12)
    found = cluster_voices(voices, BACKEND, CONFIG)
    assert adjusted_rand_score(who, found["cluster_id"]) > 0.95
    assert found["probability"].between(0, 1).all()
    assert found["outlier_score"].between(0, 1).all()
    assert found["track_id"].tolist() == voices.track_ids.tolist()


def test_clusters_are_numbered_by_size():
    voices, who = catalogue([60, 30, 15, 6, 4, 3, 3])
    found = cluster_voices(voices, BACKEND, CONFIG)["cluster_id"].to_numpy()
    assert adjusted_rand_score(who, found) > 0.9
    assert (np.diff(np.bincount(found[found != NOISE])) <= 0).all()


def test_strangers_are_left_out():
    voices, who = catalogue([8] * 6 + [1] * 12, scatter=0.6)
    found = cluster_voices(voices, BACKEND, CONFIG)
    strangers = found[who >= 6]
    assert (strangers["cluster_id"] == NOISE).sum() >= 9
    assert (found["cluster_id"][who < 6] != NOISE).all()
    assert (strangers["probability"][strangers["cluster_id"] == NOISE] == 0).all()
    assert strangers["outlier_score"].mean() > 0.5 > found["outlier_score"][who < 6].mean()


def test_one_singers_folder_is_one_cluster_and_two_singers_are_two():
    one = cluster_voices(catalogue([12])[0], BACKEND, CONFIG)
    assert (one["cluster_id"] == 0).sum() >= 11
    voices, who = catalogue([6, 6])
    assert adjusted_rand_score(who, cluster_voices(voices, BACKEND, CONFIG)["cluster_id"]) == 1


@pytest.mark.parametrize("n", [0, 1, 2, 3, 9])
def test_up_to_two_voices(n: int):
    found = cluster_voices(catalogue([6, 6], scatter=0.3)[0][np.arange(n)], BACKEND, CONFIG)
    assert len(found) == n
    assert found.notna().all().all()
    assert n < 2 or (found["cluster_id"][: min(n, 6)] == 0).all()
    assert describe(found).startswith(f"{n} voice")


def test_degenerate_voices_do_not_crash():
    ids, seconds = np.arange(20).astype(str), np.full(20, 30.0)
    same = cluster_voices(Voices(ids, np.repeat(catalogue([1])[0].means, 20, axis=0), seconds), BACKEND, CONFIG)
    silent = cluster_voices(Voices(ids, np.zeros((20, DIM)), seconds), BACKEND, CONFIG)
    assert same.notna().all().all()
    assert silent.notna().all().all()
    assert (same["cluster_id"] == 0).all()


def test_the_same_seed_gives_the_same_result():
    voices, _ = catalogue([5] * 6)
    assert cluster_voices(voices, BACKEND, CONFIG, 3).equals(cluster_voices(voices, BACKEND, CONFIG, 3))


def test_vectors_that_are_not_finite_are_refused():
    voices, _ = catalogue([5, 5])
    voices.means[3, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        cluster_voices(voices, BACKEND, CONFIG)


def test_by_size_orders_clusters_and_keeps_noise():
    assert by_size(np.array([7, 3, 3, -1, 9, 9, 9, 7])).tolist() == [1, 2, 2, -1, 0, 0, 0, 1]
