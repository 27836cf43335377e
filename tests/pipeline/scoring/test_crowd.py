import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.special import logsumexp

from pipeline.scoring import crowd
from pipeline.scoring.crowd import NOBODY, also, compared, indicator, most_often, nearby, place
from pipeline.scoring.evidence import Evidence
from pipeline.scoring.neighbours import nearest


@pytest.fixture
def tracks_and_voices(simulate, backend) -> tuple[Evidence, Evidence]:
    """Return 600 tracks and the voices of their 200 singers."""
    vectors, who = simulate([3] * 200, scatter=1.0)
    evidence = backend.evidence(vectors, np.full(600, 60.0))
    return evidence, evidence.summed(who, 200)


def test_a_few_voices_are_all_compared(tracks_and_voices, backend):
    tracks, voices = tracks_and_voices
    found = compared(tracks, voices, None, backend)
    np.testing.assert_allclose(found[:, :-1], backend.table(tracks, voices))
    assert (found[:, -1] == -np.inf).all()


def test_of_many_voices_some_are_compared_and_the_others_summed(tracks_and_voices, backend, monkeypatch):
    tracks, voices = tracks_and_voices
    table = backend.table(tracks, voices)
    monkeypatch.setattr(crowd, "SAMPLE", 100)
    which = np.argsort(-table, axis=1)[:, :32].astype(np.int32)
    lowest = np.take_along_axis(table, which, 1).argmin(1)
    which[np.arange(600), lowest] = NOBODY
    found = compared(tracks, voices, which, backend)
    at, rank = np.nonzero(which >= 0)
    assert len(at) == 600 * 31
    np.testing.assert_allclose(found[at, rank], table[at, which[at, rank]], rtol=1e-3, atol=1e-3)
    assert (found[np.arange(600), lowest] == -np.inf).all()
    table[at, which[at, rank]] = -np.inf
    off = found[:, -1] - logsumexp(table, axis=1)
    assert abs(np.median(off)) < 0.2, "a sample of half of them sums up to about as much"


def test_without_other_voices_their_sum_is_zero(tracks_and_voices, backend):
    tracks, voices = tracks_and_voices
    which = np.tile(np.arange(5), (600, 1))
    assert (compared(tracks, voices[:5], which, backend)[:, -1] == -np.inf).all()


def test_the_people_nearby_are_those_whom_the_nearest_tracks_credit(tracks_and_voices, backend):
    tracks, _ = tracks_and_voices
    who = np.repeat(np.arange(200), 3)
    near = nearest(tracks, backend)
    found = nearby(near, csr_matrix((np.ones(600), (np.arange(600), who)), (600, 200)))
    assert found.shape == (600, crowd.LIKELY)
    assert [set(row) - {NOBODY} for row in found] == [set(who[row]) for row in near]
    assert (found == who[:, None]).any(1).mean() > 0.99, "nearly every track is near another of its singer"


def test_nobody_is_near_a_track_without_neighbours_or_whose_neighbours_credit_nobody():
    credits = csr_matrix(([1.0], ([2], [4])), (3, 5))
    found = nearby(np.array([[-1, -1], [0, -1], [1, 0]]), credits)
    assert (found == NOBODY).all()
    assert nearby(np.array([[2, -1], [-1, -1], [-1, -1]]), credits)[0].tolist() == [4] + [NOBODY] * (crowd.LIKELY - 1)


def test_of_too_many_people_those_who_are_counted_most_often_are_kept(monkeypatch):
    monkeypatch.setattr(crowd, "LIKELY", 2)
    counts = csr_matrix(np.array([[0, 1, 3, 2], [0, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 0]]))
    assert most_often(counts).tolist() == [[2, 3], [2, NOBODY], [NOBODY, NOBODY], [0, 1]]


def test_further_people_are_added_once_and_found_again():
    which = np.array([[7, NOBODY], [3, 5]], np.int32)
    at, person = np.array([0, 1, 1]), np.array([2, 5, 9])
    found = also(which, at, person)
    assert [sorted(set(row) - {NOBODY}) for row in found] == [[2, 7], [3, 5, 9]]
    assert all((row != NOBODY).sum() == len(set(row) - {NOBODY}) for row in found)
    assert (found[at, place(found, at, person)] == person).all()
    assert place(None, at, person).tolist() == person.tolist(), (
        "where all are compared, each has the place of its number"
    )
    assert indicator(found, 10).toarray().sum() == 5
