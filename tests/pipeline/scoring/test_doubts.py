"""Doubts about known names, on simulated voices."""

import numpy as np
import pytest

from pipeline.scoring.backend import Backend, Numbers
from pipeline.scoring.doubts import alone, fit, own_clips, parts
from pipeline.scoring.evidence import Evidence
from pipeline.scoring.voices import Clips, Voices

DIM = 64
BACKEND = Backend(np.zeros(DIM), np.eye(DIM), Numbers(share=0.8, settle_s=2))  # a good encoder
NONE = Evidence.of_tracks(np.zeros((1, DIM), np.float32), np.zeros(1))


def voices(singers: list[int], scatter: float = 0.8, seconds: float = 40.0, seed: int = 0) -> Evidence:
    """Return the evidence of one recording for each entry, by the singer of that number."""
    singer = np.random.default_rng(7).normal(size=(10, DIM))
    rows = singer[singers] + scatter * np.random.default_rng(seed).normal(size=(len(singers), DIM))
    return BACKEND.evidence(rows, np.full(len(singers), seconds))


@pytest.mark.parametrize("planted", [0, 1, 2])
def test_one_wrong_track_among_three_is_found_and_the_others_are_not_doubted(planted: int):
    singers = [0, 0, 0]
    singers[planted] = 1
    doubted = fit(voices(singers), np.zeros(3, int), BACKEND) < 0.5
    assert doubted.tolist() == [singer == 1 for singer in singers]


def test_two_wrong_tracks_among_six_are_found_beside_another_name():
    singers = [0, 1, 0, 0, 2, 0, 3, 3]
    probability = fit(voices(singers), np.array([0, 0, 0, 0, 0, 0, 1, 1]), BACKEND)
    assert (probability < 0.5).tolist() == [singer in (1, 2) for singer in singers]


def test_two_tracks_that_do_not_fit_are_both_in_doubt_and_a_single_one_never():
    probability = fit(voices([0, 1, 2]), np.array([0, 0, 1]), BACKEND)
    assert (probability[:2] < 0.5).all()
    assert np.isnan(probability[2])
    assert fit(voices([]), np.zeros(0, int), BACKEND).shape == (0,)


def test_a_duet_keeps_the_clips_that_sound_like_the_other_track():
    clips = voices([0, 0, 0, 1, 1, 1], seconds=8)
    assert own_clips(clips, voices([0], seed=1), False, BACKEND).tolist() == [True] * 3 + [False] * 3
    assert own_clips(clips, voices([1], seed=1), False, BACKEND).tolist() == [False] * 3 + [True] * 3


def test_a_duet_without_other_tracks_is_not_used_if_its_tags_credit_two():
    clips = voices([0, 0, 0, 1, 1, 1], seconds=8)
    assert not own_clips(clips, NONE, True, BACKEND).any()
    assert own_clips(clips, NONE, False, BACKEND).all()


def test_a_track_of_one_singer_is_kept_whole_whatever_its_tags_say():
    clips = voices([0] * 6, seconds=8)
    for rest in (NONE, voices([0], seed=1)):
        assert own_clips(clips, rest, True, BACKEND).all()


def test_a_track_of_another_singer_is_kept_whole_so_that_fit_doubts_it():
    assert own_clips(voices([1] * 6, seconds=8), voices([0], seed=1), False, BACKEND).all()


def test_the_parts_of_a_duet_are_its_two_singers():
    part, ratio = parts(voices([0, 1, 0, 1, 1], seconds=8), BACKEND)
    assert part.tolist() in ([False, True, False, True, True], [True, False, True, False, False])
    assert ratio < -5
    assert parts(voices([0] * 5, seconds=8), BACKEND)[1] > 0


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_clips_have_no_parts(n: int):
    part, ratio = parts(voices([0] * n), BACKEND)
    assert part.tolist() == [False] * n
    assert ratio == float("inf")
    assert own_clips(voices([0] * n), voices([0], seed=1), True, BACKEND).all()


def test_a_known_duet_is_reduced_to_its_known_singers_part_or_to_nothing():
    singer = np.random.default_rng(7).normal(size=(10, DIM))
    vectors = singer[[0, 0, 0, 1, 1, 1]] + 0.3 * np.random.default_rng(3).normal(size=(6, DIM))
    solos = np.stack([vectors.mean(0), singer[0], singer[2]])
    tracks = Voices(np.array(["duet", "solo", "other"], object), solos, np.array([48.0, 40.0, 40.0]))
    clips, named = Clips(vectors, np.arange(6) * 8.0, np.full(6, 8.0), np.zeros(6, int)), np.array([0, 0, 1])
    credited = np.array([True, False, False])
    found = alone(tracks, clips, named, credited, BACKEND)
    assert (found.trimmed.tolist(), found.unclear.any()) == ([True, False, False], False)
    expected = BACKEND.evidence(np.stack([vectors[:3].mean(0), *solos[1:]]), np.array([24.0, 40.0, 40.0]))
    np.testing.assert_allclose(found.evidence.vector, expected.vector, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.evidence.precision, expected.precision)
    without = np.array([0, -1, 1])
    found = alone(tracks, clips, without, credited, BACKEND)
    assert (found.trimmed.any(), found.unclear.tolist()) == (False, [True, False, False])
    assert found.evidence.precision[0] == 0
    found = alone(tracks, clips, without, np.zeros(3, bool), BACKEND)
    assert not (found.trimmed | found.unclear).any(), "nothing says that it is a duet"
