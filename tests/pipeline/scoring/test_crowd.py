import numpy as np
import pytest
from scipy.special import logsumexp

from pipeline.scoring import crowd
from pipeline.scoring.crowd import Crowd, are_few, compared
from pipeline.scoring.evidence import Evidence

EVERYBODY = np.ones(200, bool)


@pytest.fixture
def tracks_and_voices(simulate, backend) -> tuple[Evidence, Evidence]:
    """Return 600 tracks and the voices of their 200 singers."""
    vectors, who = simulate([3] * 200, scatter=1.0)
    evidence = backend.evidence(vectors, np.full(600, 60.0))
    return evidence, evidence.summed(who, 200)


def test_a_few_voices_are_all_compared(tracks_and_voices, backend):
    tracks, voices = tracks_and_voices
    assert are_few(voices)
    assert Crowd.of(voices, EVERYBODY).likely(tracks) is None
    found = compared(tracks, voices, None, backend)
    np.testing.assert_allclose(found[:, :-1], backend.table(tracks, voices))
    assert (found[:, -1] == -np.inf).all()


def test_of_many_voices_the_nearest_are_compared_and_the_others_summed(tracks_and_voices, backend, monkeypatch):
    tracks, voices = tracks_and_voices
    table = backend.table(tracks, voices)
    monkeypatch.setattr(crowd, "ALL", 100)
    monkeypatch.setattr(crowd, "SAMPLE", 100)
    assert not are_few(voices)
    which = Crowd.of(voices, EVERYBODY).likely(tracks)
    assert (which == table.argmax(1)[:, None]).any(1).mean() > 0.99
    lowest = np.take_along_axis(table, which, 1).argmin(1)
    which[np.arange(600), lowest] = -1
    found = compared(tracks, voices, which, backend)
    at, rank = np.nonzero(which >= 0)
    assert len(at) == 600 * (crowd.LIKELY - 1)
    np.testing.assert_allclose(found[at, rank], table[at, which[at, rank]], rtol=1e-3, atol=1e-3)
    assert (found[np.arange(600), lowest] == -np.inf).all()
    table[at, which[at, rank]] = -np.inf
    off = found[:, -1] - logsumexp(table, axis=1)
    assert abs(np.median(off)) < 0.2, "a sample of half of them sums up to about as much"


def test_of_many_voices_only_those_that_are_heard_often_are_searched_for(tracks_and_voices, monkeypatch):
    tracks, voices = tracks_and_voices
    monkeypatch.setattr(crowd, "ALL", 100)
    often = np.arange(200) % 4 == 0
    which = Crowd.of(voices, often).likely(tracks)
    assert often[which].all()
    assert (which[::12] == np.arange(0, 200, 4)[:, None]).any(1).mean() > 0.95
    assert (Crowd.of(voices, np.arange(200) == 7).likely(tracks).max(1) == 7).all(), "one, and no others"
    assert (Crowd.of(voices, ~EVERYBODY).likely(tracks) == -1).all()


def test_without_other_voices_their_sum_is_zero(tracks_and_voices, backend):
    tracks, voices = tracks_and_voices
    which = np.tile(np.arange(5), (600, 1))
    assert (compared(tracks, voices[:5], which, backend)[:, -1] == -np.inf).all()
