import numpy as np
import pytest

from pipeline.scoring import scores
from pipeline.scoring.backend import Numbers
from pipeline.scoring.evidence import expected


def tracks(simulate, backend, sizes, scatter=0.8):
    vectors, who = simulate(sizes, scatter)
    return backend.evidence(vectors, np.full(len(who), 60.0)), who


def test_a_set_knows_how_similar_its_tracks_are(simulate, backend):
    found, who = tracks(simulate, backend, [5])
    sides = found.summed(who, 1).sides
    assert sides.links[0] == pytest.approx(4, rel=1e-5)
    cosine = (found.direction @ found.direction.T)[np.triu_indices(5, 1)].mean()
    assert sides.alike[0] / 4 == pytest.approx(cosine / found.reliability[0], rel=1e-4), "1 is what is expected"
    alone = found.sides
    np.testing.assert_allclose([alone.links, alone.alike], 0, atol=1e-5)


def test_evidence_is_the_same_in_blocks(simulate, backend, monkeypatch):
    whole, _ = tracks(simulate, backend, [5])
    directions, lengths = whole.direction, whole.sides.length
    monkeypatch.setattr(scores, "BLOCK", 2)
    found, _ = tracks(simulate, backend, [5])
    assert np.array_equal(found.single, whole.single)
    assert np.array_equal(found.direction, directions)
    assert np.array_equal(found.sides.length, lengths)


def test_evidence_of_some_rows_is_replaced(simulate, backend):
    found, _ = tracks(simulate, backend, [5])
    other = found.replaced(np.array([3, 1]), found[[0, 0]])
    np.testing.assert_array_equal(other.vector, found.vector[[0, 0, 2, 0, 4]])
    assert not np.array_equal(found.vector[1], found.vector[0]), "the original stays as it is"


def test_removing_tracks_from_a_set_equals_never_adding_them(simulate, backend):
    found, who = tracks(simulate, backend, [5])
    left, fresh = (found.summed(who, 1) - found[:1]).sides, found[1:].summed(who[1:], 1).sides
    assert left.links[0] == pytest.approx(fresh.links[0], rel=1e-4)
    assert left.alike[0] == pytest.approx(fresh.alike[0], rel=1e-3)
    half = found.scaled(np.full(5, 0.5)).summed(who, 1).sides
    assert half.links[0] == pytest.approx(4, rel=1e-5), "a set of halves is a set of five, too"


def test_clips_of_one_track_say_nothing_about_the_similarity_of_tracks(simulate, backend):
    found, who = tracks(simulate, backend, [5], scatter=0.1)
    assert found.summed(who, 1).as_one().sides.links[0] == pytest.approx(0, abs=1e-6)


def test_tight_sets_expect_more_similarity_and_single_tracks_the_usual(simulate, backend):
    found, who = tracks(simulate, backend, [5, 5], scatter=0.2)
    sides, one = found.summed(who, 2).sides, found.sides
    assert expected(sides[:1], sides[1:])[0] > 1.3
    assert expected(one[:1], one[1:2])[0] == pytest.approx(1, abs=1e-5)


def test_two_tight_sets_less_similar_than_each_within_itself_are_two_singers():
    numbers = Numbers()
    lost = numbers.missing(np.array([0.9, 1.4, 0.9]), np.array([1.5, 1.5, 1.0]), np.full(3, 0.7))
    assert lost[0] > 5
    assert lost[1:].tolist() == [0, 0], "as alike as expected; and where nothing more than usual is expected"
