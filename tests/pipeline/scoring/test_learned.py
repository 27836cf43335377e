"""The groups that a network is trained on as singers, and the test of what it has learned."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.scoring import adapted, learned, metrics
from pipeline.scoring.backend import Backend
from pipeline.scoring.scatter import Scatter, scatter
from pipeline.scoring.scores import unit
from pipeline.scoring.voices import Voices

DIM = 48


def catalogue(sizes: list[int], song: float, seed: int = 0) -> tuple[Voices, Voices, Voices, np.ndarray, Scatter]:
    """Return tracks by singers with this many songs, who sings each, and the clips; `song` is how much songs differ.

    Returns:
        The voices, in all clips, in every other clip and in the clips in between; the singers (n,); the clips' scatter.
    """
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(len(sizes)), sizes)
    tracks = rng.normal(size=(len(sizes), DIM))[who] + song * rng.normal(size=(len(who), DIM))
    track = np.repeat(np.arange(len(who)), 6)
    clips = unit(tracks[track] + rng.normal(size=(len(track), DIM)))
    by_track, names = clips.reshape(len(who), 6, DIM), np.array([f"t{i:04}" for i in range(len(who))])
    parts = [by_track, by_track[:, ::2], by_track[:, 1::2]]
    every, taught, tested = (Voices(names, part.mean(1), np.full(len(who), 6.0 * part.shape[1])) for part in parts)
    return every, taught, tested, who, scatter(clips, track)


@pytest.fixture
def plain() -> Backend:
    """Return a back-end that takes vectors as they are."""
    return Backend(np.zeros(DIM), np.eye(DIM), encoder_id="e")


def test_most_groups_have_one_singer_and_short_tracks_stand_alone(plain):
    voices, half, _, who, _ = catalogue([5] * 12 + [1] * 20, song=0.3)
    voices.seconds[:3] = 8.0
    whose, several = learned.pseudo_singers(voices, half, plain)
    assert several >= 8
    assert metrics.bcubed(who, whose).precision > 0.9
    assert all((whose == whose[track]).sum() == 1 for track in range(3))
    assert (whose <= np.arange(len(whose))).all() and (whose[whose] == whose).all()


def test_credits_join_tracks_if_the_voices_agree(plain):
    voices, half, _, who, _ = catalogue([5] * 12, song=1.3)
    alone, _ = learned.pseudo_singers(voices, half, plain)
    credit = np.array([f"singer {name}" for name in who], object)
    credited, _ = learned.pseudo_singers(voices, half, plain, credit)
    assert len(set(credited)) < len(set(alone))


def test_an_encoder_that_tells_singers_apart_better_passes_the_test(plain):
    voices, _, tested, who, _ = catalogue([5] * 16, song=1.0)
    closer, _, tested_closer, _, clips = catalogue([5] * 16, song=0.4)
    lesson = learned.judged(voices, plain, closer, clips, (tested, tested_closer), 9)
    assert lesson.better and lesson.after < lesson.before and lesson.groups == 9
    both = (plain, voices), (lesson.backend, closer)
    true = [adapted.disagreement(backend, found.means, who) for backend, found in both]
    assert true[1] < true[0]
    assert lesson.backend.numbers.share > plain.numbers.share
    apart = [np.square((found.means - backend.mean) @ backend.matrix).sum() for backend, found in both]
    assert apart[1] == pytest.approx(apart[0], rel=0.05)
    worse = learned.judged(closer, plain, voices, clips, (tested_closer, tested), 9)
    assert not worse.better


def test_tracks_without_clips_in_between_are_not_in_the_test(plain):
    voices, _, tested, _, clips = catalogue([5] * 16, song=1.0)
    closer, _, tested_closer, _, _ = catalogue([5] * 16, song=0.4)
    expected = learned.judged(voices[np.arange(40)], plain, closer[np.arange(40)], clips, (tested, tested_closer), 9)
    for part in (tested, tested_closer):
        part.means[40:], part.seconds[40:] = 0.0, 0.0
    found = learned.judged(voices, plain, closer, clips, (tested, tested_closer), 9)
    assert found.after == pytest.approx(expected.after, abs=0.02)


def test_the_centre_moves_as_the_voices_do(plain):
    voices, _, tested, _, clips = catalogue([5] * 16, song=0.5)
    moved, moved_tested = (replace(part, means=part.means + 0.2) for part in (voices, tested))
    lesson = learned.judged(voices, plain, moved, clips, (tested, moved_tested), 9)
    np.testing.assert_allclose(lesson.backend.mean, plain.mean + 0.2, atol=1e-6)
    assert lesson.after == pytest.approx(lesson.before, abs=0.01)
