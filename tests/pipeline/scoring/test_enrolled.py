"""Weighing simulated tracks against the people who are enrolled."""

import numpy as np
import pytest

from pipeline.scoring import crowd, neighbours
from pipeline.scoring.backend import Backend, Numbers
from pipeline.scoring.credits import Credits, judge
from pipeline.scoring.crowd import NOBODY, are_few, nearby
from pipeline.scoring.enrolled import Answers, Enrolled, People
from pipeline.scoring.evidence import Evidence
from pipeline.scoring.neighbours import nearest

DIM = 64
BACKEND = Backend(np.zeros(DIM), np.eye(DIM), Numbers(0.6, 0.01, DIM, DIM / 2, 0.0))


def heard(simulate, sizes: list[int], scatter: float = 0.8) -> tuple[Evidence, np.ndarray]:
    """Return the evidence of tracks, and who sings each."""
    vectors, who = simulate(sizes, scatter)
    return BACKEND.evidence(vectors, np.full(len(who), 60.0)), who


def weighed(evidence: Evidence, track, person, given, group=None, q: float = 0.9) -> Answers:
    """Return the answers where row by row a track is credited to a person, or known to be by them."""
    track, person, given = np.asarray(track), np.asarray(person), np.asarray(given, bool)
    n, n_people = len(evidence), int(person.max(initial=-1)) + 1
    owner, known = np.full(n, NOBODY), np.zeros(n_people, bool)
    owner[track[given]], known[person[given]] = person[given], True
    credits = Credits(track, person, given, n_people)
    people = People([f"Singer {i}" for i in range(n_people)], known, credits, owner)
    near = None if are_few(n_people) else nearby(nearest(evidence, BACKEND), credits.table(n))
    judged = judge(evidence, credits, BACKEND, near)
    group = np.arange(n) if group is None else group
    return Enrolled(evidence, people, judged.weight, judged, BACKEND, group, np.full(n, q), near).answers()


def test_known_singers_get_their_tracks_and_strangers_no_name(simulate):
    evidence, who = heard(simulate, [4] * 6)
    known = np.flatnonzero(np.arange(len(who)) % 4 == 0)[:3]
    found = weighed(evidence, known, who[known], np.ones(3))
    mine = (who < 3) & ~np.isin(np.arange(len(who)), known)
    assert (found.which[mine, 0] == who[mine]).all() and (found.probability[mine, 0] > 0.9).all()
    assert (found.probability[who >= 3].sum(1) < 0.1).all()
    assert (found.probability[known, 0] < 0.5).all(), "a track says nothing about a voice that is made of it alone"
    assert (np.diff(found.probability, axis=1) <= 0).all(), "the likeliest come first"


def test_two_credits_enrol_a_person_and_one_does_not(simulate):
    evidence, who = heard(simulate, [4, 4])
    found = weighed(evidence, [0, 1, 4], [0, 0, 1], np.zeros(3))
    assert found.which.shape == (8, 1), "one of the two is enrolled"
    assert (found.which[who == 0, 0] == 0).all() and (found.probability[who == 0, 0] > 0.9).all()


def test_a_group_with_contradicting_names_adds_nothing(simulate):
    evidence, who = heard(simulate, [4] * 4, scatter=1.3)
    known = np.array([0, 4, 8, 12])
    asked = np.setdiff1d(np.arange(len(who)), known)

    def right(group: np.ndarray) -> np.ndarray:
        found = weighed(evidence, known, who[known], np.ones(4), group)
        return (found.probability * (found.which == who[:, None])).sum(1)[asked]

    alone, true, mixed = right(np.arange(len(who))), right(who), right(who // 2)
    assert true.mean() > alone.mean() + 0.05
    np.testing.assert_allclose(mixed, alone, atol=0.02)


def test_without_anybody_enrolled_there_are_no_answers(simulate):
    evidence, _ = heard(simulate, [2, 2])
    none = np.zeros(0, int)
    found = weighed(evidence, none, none, none)
    assert found.which.shape == found.probability.shape == (4, 0)
    assert np.isnan(found.credit).all()


def test_comparing_the_nearest_of_many_people_gives_the_same_answers(simulate, monkeypatch: pytest.MonkeyPatch):
    evidence, who = heard(simulate, [5] * 60 + [1] * 40, scatter=0.9)
    person = who.copy()
    person[::20] = np.roll(person[::20], 1)
    given = np.isin(np.arange(len(who)), np.arange(20) * 5 + 1)
    everyone = weighed(evidence, np.arange(len(who)), person, given)
    monkeypatch.setattr(crowd, "ALL", 20)
    monkeypatch.setattr(crowd, "LIKELY", 12)
    some = weighed(evidence, np.arange(len(who)), person, given)
    assert (some.which[:, 0] == everyone.which[:, 0]).mean() > 0.99
    for name in ("probability", "credit"):
        ours, theirs = getattr(some, name), getattr(everyone, name)
        assert (np.isnan(ours) == np.isnan(theirs)).mean() > 0.99
        assert np.nanmean(abs(ours - theirs)) < 0.01, name


def test_blocks_of_tracks_that_are_near_fewer_people_than_an_answer_holds(simulate, monkeypatch: pytest.MonkeyPatch):
    evidence, who = heard(simulate, [4] * 30)
    known = np.arange(6) * 4
    monkeypatch.setattr(crowd, "ALL", 5)
    monkeypatch.setattr(neighbours, "BLOCK", 2)
    found = weighed(evidence, known, who[known], np.ones(6))
    mine = (who < 6) & ~np.isin(np.arange(len(who)), known)
    assert (found.which[mine, 0] == who[mine]).all()
    assert all(len(set(row)) == len(row) for row in (names[names != NOBODY].tolist() for names in found.which))
    assert ((found.probability > 0) <= (found.which != NOBODY)).all()


def test_a_track_like_a_known_one_but_unlike_its_group_gets_no_name(simulate):
    vectors, who = simulate([6, 6], scatter=0.3)
    likeness = 0.9  # the known track, and no other of its singer, sounds like the other singer
    vectors[0] = likeness * vectors[6:].mean(0) + (1 - likeness) * vectors[:6].mean(0)
    evidence = BACKEND.evidence(vectors, np.full(12, 60.0))
    known = np.zeros(1, int)
    grouped, alone = (
        weighed(evidence, known, known, np.ones(1), group, q=1.0).probability[6:, 0] for group in (who, np.arange(12))
    )
    assert (alone > 0.5).all() and (grouped < 0.01).all()
