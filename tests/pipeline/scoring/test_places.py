import numpy as np
import pytest

from pipeline.scoring import places as module
from pipeline.scoring.places import place_between, places


def near(directions: np.ndarray, k: int = 10) -> np.ndarray:
    """Return the k nearest others of each unit vector."""
    cosine = directions @ directions.T - 2 * np.eye(len(directions))
    return np.argsort(-cosine, axis=1)[:, : min(k, max(len(directions) - 1, 0))]


@pytest.mark.parametrize("n", [0, 1, 2, 7, 8])
def test_every_voice_has_a_place_of_its_own(simulate, n):
    vectors = simulate([4] * 3)[0][:n]
    found = places(vectors, near(vectors))
    assert found.shape == (n, 2)
    assert np.isfinite(found).all()
    assert len(np.unique(found, axis=0)) == n


def test_voices_of_one_singer_lie_together(simulate):
    vectors, who = simulate([10] * 4, scatter=0.4)
    place = places(vectors, near(vectors))
    centre = np.stack([place[who == singer].mean(0) for singer in range(4)])
    nearest = np.linalg.norm(place[:, None] - centre, axis=2).argmin(1)
    assert (nearest == who).mean() > 0.9
    assert (places(vectors, near(vectors)) == place).all(), "the same seed draws the same map"


def test_degenerate_voices_have_places_too(simulate):
    nobody = np.full((20, 3), -1)
    assert np.isfinite(places(np.repeat(simulate([1])[0], 20, axis=0), nobody)).all()
    assert np.isfinite(places(np.eye(20, dtype=np.float32), nobody)).all()


def test_voices_that_the_map_is_not_fitted_on_are_placed_among_the_others(simulate, monkeypatch):
    monkeypatch.setattr(module, "MOST", 60)
    vectors, who = simulate([30] * 4, scatter=0.4)
    place = places(vectors, near(vectors))
    centre = np.stack([place[who == singer].mean(0) for singer in range(4)])
    assert (np.linalg.norm(place[:, None] - centre, axis=2).argmin(1) == who).mean() > 0.9


def test_a_voice_is_placed_nearest_to_its_most_similar_neighbour():
    directions = np.array([[1, 0], [0, 1], [0.8, 0.6], [0.9, 0.44], [-1, 0]], np.float32)
    place = np.array([[0, 0], [1, 0], [np.nan, np.nan], [np.nan, np.nan], [np.nan, np.nan]])
    place_between(place, directions, np.array([[1, -1], [0, -1], [0, 1], [2, -1], [-1, -1]]))
    assert place[2, 1] == 0 < place[2, 0] < 0.5
    assert (place[3] == place[2]).all(), "its neighbour had to be placed first"
    assert np.isnan(place[4]).all()
