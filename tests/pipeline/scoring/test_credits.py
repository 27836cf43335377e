import numpy as np
import pytest

from pipeline.scoring import credits
from pipeline.scoring.credits import Credits, judge, own_voices, someone_else
from pipeline.scoring.crowd import NOBODY


def credited(person: np.ndarray) -> Credits:
    """Return one credit for each track."""
    return Credits(np.arange(len(person)), person, np.zeros(len(person), bool), int(person.max()) + 1)


@pytest.fixture
def catalogue(simulate, backend):
    """Return the evidence of 30 singers with six tracks each, and who sings each."""
    vectors, who = simulate([6] * 30, scatter=0.7)
    return backend.evidence(vectors, np.full(len(who), 60.0)), who


def test_swapped_credits_are_found_and_true_ones_are_not_accused(catalogue, backend):
    evidence, who = catalogue
    swapped = np.arange(0, len(who), 20)
    person = who.copy()
    person[swapped] = np.roll(who[swapped], 1)
    found = judge(evidence, credited(person), backend)
    accused = found.probability < 0.25
    assert accused[swapped].all()
    assert accused.sum() == len(swapped)
    assert found.right == pytest.approx(0.95, abs=0.02)
    assert found.weight[swapped].max() < 0.25, "a wrong credit teaches little"


def test_true_credits_are_all_believed(catalogue, backend):
    evidence, who = catalogue
    found = judge(evidence, credited(who), backend)
    assert (found.probability > 0.9).all()
    assert found.heard.all()


def test_a_person_with_one_track_is_not_accused(simulate, backend):
    vectors, who = simulate([1] * 40, scatter=0.7)
    found = judge(backend.evidence(vectors, np.full(40, 60.0)), credited(who), backend)
    assert not found.heard.any()
    assert (found.probability > 0.5).all()


def test_a_bands_second_singer_is_not_accused_by_an_unlike_voice_alone(catalogue, simulate, backend):
    evidence, who = catalogue
    band = np.where(who < 2, 0, who - 1)  # the first two singers share a band, six tracks each
    found = judge(evidence, credited(band), backend)
    assert (found.probability[who < 2] > 0.25).all()


def test_a_name_with_many_voices_accuses_nobody(simulate, backend):
    vectors, who = simulate([6] * 20 + [1] * 6, scatter=0.7)
    person = np.minimum(who, 20)  # the last six tracks have one name and six voices
    person[0], person[6] = 1, 0
    found = judge(backend.evidence(vectors, np.full(len(who), 60.0)), credited(person), backend)
    assert (found.probability[-6:] > 0.25).all()
    assert (np.flatnonzero(found.probability < 0.25) == [0, 6]).all()


def test_of_two_credited_people_either_may_sing(catalogue, backend):
    evidence, who = catalogue
    track = np.concatenate([np.arange(len(who)), [0, 6]])
    person = np.concatenate([who, [1, 0]])
    both = Credits(track, person, np.zeros(len(track), bool), 30)
    found = judge(evidence, both, backend)
    assert found.probability[[0, 6]].min() > 0.9
    assert found.weight[-2:].max() < 0.1, "the guest's voice is not made of the host's song"


def test_without_credits_nothing_is_judged(catalogue, backend):
    evidence, _ = catalogue
    none = np.zeros(0, int)
    found = judge(evidence, Credits(none, none, none.astype(bool), 0), backend)
    assert np.isnan(found.probability).all()
    assert not found.heard.any()


def test_a_track_is_never_compared_with_itself(catalogue, backend):
    evidence, who = catalogue
    credits = credited(who)
    ratio, audible = own_voices(evidence, credits, np.ones(len(who)), backend)
    others = evidence[1:6].summed(np.zeros(5, int), 1)
    assert audible.all()
    assert ratio[0] == pytest.approx(backend.pairs(evidence[:1], others)[0], rel=1e-4)


def test_tracks_that_doubt_each_other_settle(simulate, backend, monkeypatch):
    vectors, who = simulate([2] + [1] * 40, scatter=0.3)
    evidence = backend.evidence(vectors, np.full(len(who), 60.0))
    each = credited(np.arange(len(who)))  # the first two tracks sound like one singer, under two names
    judged = []
    for rounds in (15, 14):
        monkeypatch.setattr(credits, "STEPS", credits.STEPS[:rounds])
        judged.append(judge(evidence, each, backend))
    odd, even = (found.probability[:2] for found in judged)
    assert odd[0] == pytest.approx(odd[1], abs=0.02) and odd[0] < 0.9, "neither is believed more than the other"
    np.testing.assert_allclose(odd, even, atol=0.01)


def test_among_many_people_nobody_is_doubted_for_sounding_like_their_own_track(simulate, backend, monkeypatch):
    vectors, who = simulate([1] * 80, scatter=0.3)
    evidence = backend.evidence(vectors, np.full(80, 60.0))
    everyone = someone_else(evidence, credited(who), np.ones(80), backend)
    none_near = np.full((80, 1), NOBODY, np.int32)  # all others are summed by a sample, which holds each track's own
    some = someone_else(evidence, credited(who), np.ones(80), backend, none_near)
    np.testing.assert_allclose(some, everyone, atol=0.5)
