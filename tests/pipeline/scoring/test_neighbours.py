import numpy as np
import pytest

from pipeline.scoring import index, neighbours
from pipeline.scoring.neighbours import best, nearest, ratios


@pytest.fixture
def evidence(simulate, backend):
    vectors, who = simulate([3] * 400, scatter=1.0)
    return backend.evidence(vectors, np.linspace(40, 90, len(who)))


def brute(evidence, backend, k: int) -> list[set[int]]:
    """Return the k best of each track, from the table of all pairs."""
    table = backend.table(evidence, evidence)
    np.fill_diagonal(table, -np.inf)
    return [set(row.tolist()) for row in np.argsort(-table, axis=1)[:, :k]]


def agreement(found: np.ndarray, truth: list[set[int]]) -> float:
    return float(
        np.mean([len(set(row.tolist()) & all_of) / len(all_of) for row, all_of in zip(found, truth, strict=True)])
    )


def test_in_a_small_catalogue_all_pairs_are_compared(evidence, backend, monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", 100)
    assert agreement(nearest(evidence, backend, 4), brute(evidence, backend, 4)) == 1


def test_in_a_large_catalogue_an_index_in_pieces_finds_the_neighbours(evidence, backend, monkeypatch):
    monkeypatch.setattr(neighbours, "EXACT", 100)
    monkeypatch.setattr(index, "PIECE", 500)
    found = nearest(evidence, backend)
    assert found.shape == (1200, 20)
    assert (found != np.arange(1200)[:, None]).all(), "no track is its own neighbour"
    assert agreement(found, brute(evidence, backend, 20)) > 0.98
    assert (nearest(evidence, backend) == found).all(), "the same voices have the same neighbours"


def test_ratios_equal_those_of_the_table(evidence, backend):
    which = np.random.default_rng(0).integers(-1, 50, (1200, 7))
    expected = np.take_along_axis(backend.table(evidence, evidence[:50]), np.maximum(which, 0), 1)
    found = ratios(evidence, evidence[:50], which, backend)
    np.testing.assert_allclose(found, np.where(which < 0, -np.inf, expected), rtol=1e-3, atol=1e-3)


def test_the_best_of_some_tracks(evidence, backend):
    rows = np.array([7, 1100])
    everyone = np.tile(np.arange(1200), (2, 1))
    assert (
        agreement(best(evidence, backend, everyone, 5, rows), [brute(evidence, backend, 5)[row] for row in rows]) == 1
    )


def test_the_best_exclude_the_track_itself_and_missing_candidates(evidence, backend):
    candidates = np.array([[0, 1, -1], [0, 1, 2], [-1, -1, 2]])
    found = best(evidence[:3], backend, candidates, 2)
    assert [sorted(row) for row in found.tolist()] == [[-1, 1], [0, 2], [-1, -1]]


@pytest.mark.parametrize(("n", "k"), [(0, 0), (1, 0), (2, 1), (30, 20)])
def test_catalogues_of_a_few_voices_or_none(evidence, backend, n, k):
    assert nearest(evidence[:n], backend).shape == (n, k)
