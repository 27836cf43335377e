import numpy as np
import pytest

from pipeline.scoring import places as module
from pipeline.scoring.places import places


@pytest.mark.parametrize("n", [0, 1, 2, 7, 8])
def test_every_voice_has_a_place_of_its_own(simulate, n):
    found = places(simulate([4] * 3)[0][:n])
    assert found.shape == (n, 2)
    assert np.isfinite(found).all()
    assert len(np.unique(found, axis=0)) == n


def test_voices_of_one_singer_lie_together(simulate):
    vectors, who = simulate([10] * 4, scatter=0.4)
    place = places(vectors)
    centre = np.stack([place[who == singer].mean(0) for singer in range(4)])
    nearest = np.linalg.norm(place[:, None] - centre, axis=2).argmin(1)
    assert (nearest == who).mean() > 0.9
    assert (places(vectors) == place).all(), "the same seed draws the same map"


def test_degenerate_voices_have_places(simulate):
    assert np.isfinite(places(np.repeat(simulate([1])[0], 20, axis=0))).all()
    assert np.isfinite(places(np.eye(20, dtype=np.float32))).all()


def test_voices_beyond_the_fitted_are_placed_among_them(simulate, monkeypatch):
    monkeypatch.setattr(module, "MOST", 60)
    vectors, who = simulate([30] * 4, scatter=0.4)
    place = places(vectors)
    centre = np.stack([place[who == singer].mean(0) for singer in range(4)])
    assert (np.linalg.norm(place[:, None] - centre, axis=2).argmin(1) == who).mean() > 0.9
