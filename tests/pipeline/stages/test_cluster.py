"""Clustering on simulated voices: directions of singers, with tracks scattered around them."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from pipeline.sections import ClusterConfig
from pipeline.stages.cluster import NOISE, affinity, by_size, cluster_voices, describe

CONFIG = ClusterConfig()


def catalogue(sizes: list[int], scatter: float = 0.8, dim: int = 64, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors (n, dim) of singers with `sizes` tracks, all leaning to one side, and who sings."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(len(sizes)), sizes)
    rows = rng.normal(size=dim) + rng.normal(size=(len(sizes), dim))[who] + scatter * rng.normal(size=(len(who), dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), who


def test_finds_the_singers_of_a_small_catalogue():
    vectors, who = catalogue([6] * 12)
    found = cluster_voices(vectors, CONFIG)
    assert adjusted_rand_score(who, found["cluster_id"]) > 0.95
    assert found["probability"].between(0, 1).all()
    assert found["outlier_score"].between(0, 1).all()


def test_finds_singers_of_very_different_sizes():
    vectors, who = catalogue([120, 40, 15, 6, 4, 3, 3])
    found = cluster_voices(vectors, CONFIG)["cluster_id"].to_numpy()
    assert adjusted_rand_score(who, found) > 0.9
    assert (np.diff(np.bincount(found[found != NOISE])) <= 0).all(), "clusters are numbered by size"


def test_strangers_are_left_out():
    vectors, who = catalogue([8] * 6 + [1] * 12, scatter=0.6)
    found = cluster_voices(vectors, CONFIG)["cluster_id"].to_numpy()
    assert (found[who >= 6] == NOISE).sum() >= 9
    assert (found[who < 6] != NOISE).all()


def test_two_singers_are_not_taken_for_strangers():
    vectors, who = catalogue([6, 6])
    assert adjusted_rand_score(who, cluster_voices(vectors, CONFIG)["cluster_id"]) == 1


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7])
def test_too_few_voices_are_mapped_and_said(n: int):
    found = cluster_voices(catalogue([4, 4])[0][:n], CONFIG)
    assert len(found) == n
    assert (found["cluster_id"] == NOISE).all()
    assert found.notna().all().all()
    assert n < 2 or found[["x", "y"]].drop_duplicates().shape[0] == n
    assert "too few" in describe(found, CONFIG)


@pytest.mark.parametrize("n", [8, 9, 11])
def test_smallest_catalogues_that_are_clustered(n: int):
    found = cluster_voices(catalogue([4, 4, 4])[0][:n], CONFIG)
    assert found.notna().all().all()
    assert np.isfinite(found[["x", "y"]]).all().all()
    assert "too few" not in describe(found, CONFIG)


def test_degenerate_voices_do_not_crash():
    same = cluster_voices(np.repeat(catalogue([1])[0], 20, axis=0), CONFIG)
    apart = cluster_voices(np.eye(20, dtype=np.float32), CONFIG)
    assert same.notna().all().all()
    assert apart.notna().all().all()
    assert (apart["cluster_id"] == NOISE).all()


def test_same_seed_same_result():
    vectors, _ = catalogue([5] * 6)
    first, again = cluster_voices(vectors, CONFIG, seed=3), cluster_voices(vectors, CONFIG, seed=3)
    assert first.equals(again)


def test_voices_beyond_max_fit_are_placed_among_the_fitted():
    vectors, who = catalogue([30] * 10)
    found = cluster_voices(vectors, ClusterConfig(max_fit=150))
    assert adjusted_rand_score(who, found["cluster_id"]) > 0.8
    assert found.notna().all().all()


def test_refuses_vectors_that_are_not_finite():
    vectors, _ = catalogue([5, 5])
    vectors[3, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        cluster_voices(vectors, CONFIG)


def test_by_size_orders_clusters_and_keeps_noise():
    assert by_size(np.array([7, 3, 3, -1, 9, 9, 9, 7])).tolist() == [1, 2, 2, -1, 0, 0, 0, 1]


def test_affinity_is_the_cosine_with_the_others_mean():
    voices = np.array([[1, 0], [0.6, 0.8], [0, 1], [1, 0]], np.float32)
    labels = np.array([0, 0, 0, -1])
    others = voices[1] + voices[2]
    expected = voices[0] @ others / np.linalg.norm(others)
    assert affinity(voices, labels)[0] == pytest.approx(expected)
    assert affinity(voices, labels)[3] == 0
