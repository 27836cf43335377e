from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from pipeline.scoring import adapted, teaching, witness
from pipeline.scoring.backend import Backend
from pipeline.scoring.scatter import Scatter, scatter
from pipeline.scoring.scores import unit
from pipeline.scoring.teaching import Grouping, Lesson
from pipeline.scoring.voices import Clips, Voices

DIM = 48
NOTHING = Scatter(np.zeros((DIM, DIM)), 0)


class Made(NamedTuple):
    """A catalogue, the singer (n,) of each track, the scatter of its clips, and the clips."""

    voices: Voices
    who: np.ndarray
    clips: Scatter
    own: Clips


def catalogue(sizes: list[int], seed: int = 0, song: float = 2.0, voice: float = 1.0) -> Made:
    """Return tracks whose songs, and whose singers, differ in six directions by `song` and by `voice`."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(len(sizes)), sizes)
    first = np.arange(DIM) < 6
    singers = rng.normal(size=(len(sizes), DIM)) * np.where(first, voice, 1.0)
    tracks = singers[who] + rng.normal(size=(len(who), DIM)) * np.where(first, song, 0.7)
    clips = unit(tracks[np.repeat(np.arange(len(who)), 6)] + rng.normal(size=(6 * len(who), DIM)))
    track = np.repeat(np.arange(len(who)), 6)
    means = np.add.reduceat(clips, np.arange(0, len(clips), 6)) / 6
    names = np.array([f"t{i:04}" for i in range(len(who))])
    own = Clips(clips, np.tile(6.0 * np.arange(6), len(who)), np.full(len(clips), 6.0), track)
    return Made(Voices(names, means, np.full(len(who), 36.0)), who, scatter(clips, track), own)


def learned(made: Made, backend: Backend, grouping: Grouping = witness.likeliest) -> Lesson:
    """Return what a back-end learns from a catalogue."""
    own = made.own.of(teaching.teachers(made.voices, backend))
    return teaching.learn(made.voices, backend, made.clips, own, grouping=grouping)


def error(voices: Voices, who: np.ndarray, backend: Backend) -> float:
    """Return the equal-error rate between tracks, by their true singers."""
    return adapted.disagreement(backend, voices.means, who)


@pytest.fixture
def plain() -> Backend:
    """Return a back-end that takes vectors as they are."""
    return Backend(np.zeros(DIM), np.eye(DIM), encoder_id="e")


def test_it_learns_which_differences_say_nothing_about_the_singer(plain):
    made = catalogue([5] * 30 + [1] * 40)
    lesson = learned(made, plain)
    assert lesson.better and lesson.errors.after < lesson.errors.before
    assert error(made.voices, made.who, lesson.backend) < 0.85 * error(made.voices, made.who, plain)


def test_what_was_learned_holds_for_other_singers(plain):
    lesson, others = learned(catalogue([5] * 30 + [1] * 40), plain), catalogue([5] * 30, seed=7)
    assert error(others.voices, others.who, lesson.backend) < 0.85 * error(others.voices, others.who, plain)


def test_a_map_from_wrong_groups_fails_the_test_without_labels(plain):
    made = catalogue([5] * 30, song=0.7, voice=3.0)

    def shuffled(evidence, backend):
        return np.random.default_rng(0).permutation(witness.likeliest(evidence, backend))

    lesson = learned(made, plain, shuffled)
    assert not lesson.better and lesson.errors.after > lesson.errors.before


def test_the_clips_of_the_test_are_not_learned_from(plain):
    made = catalogue([5] * 30)
    even = np.isin(np.arange(len(made.own.track)) % 2, 0)
    noise = np.random.default_rng(3).normal(size=made.own.vectors.shape)
    other = replace(made.own, vectors=np.where(even[:, None], made.own.vectors, unit(noise)))
    lessons = [teaching.learn(made.voices, plain, made.clips, own) for own in (made.own, other)]
    assert lessons[0].errors != lessons[1].errors, "the clips in between are the test"
    np.testing.assert_allclose(lessons[0].backend.matrix, lessons[1].backend.matrix)


def test_clips_go_to_two_halves_in_turns_and_a_track_needs_two_clips():
    vectors = unit(np.random.default_rng(0).normal(size=(6, DIM)))
    clips = Clips(
        vectors, np.array([12.0, 0.0, 6.0, 0.0, 0.0, 6.0]), np.array([1.0, 2, 3, 4, 5, 6]), np.array([7, 7, 7, 2, 9, 9])
    )
    first, second, rows = teaching.halves(clips)
    assert rows.tolist() == [7, 9]
    assert first.seconds.tolist() == [3.0, 5.0] and second.seconds.tolist() == [3.0, 6.0]
    np.testing.assert_allclose(first.means, [(2 * vectors[1] + vectors[0]) / 3, vectors[4]])
    np.testing.assert_allclose(second.means, [vectors[2], vectors[5]])
    assert (first.clips.degrees, second.clips.degrees) == (1, 0)


def test_tracks_with_little_singing_are_not_learned_from(plain):
    made = catalogue([5] * 30)
    short = made._replace(voices=replace(made.voices, seconds=np.full(len(made.who), 8.0)))
    assert not len(teaching.teachers(short.voices, plain))
    assert "too little" in learned(short, plain).why


@pytest.mark.parametrize("sizes", [[40], [2] * 3 + [1] * 20, [1]], ids=["one singer", "few groups", "one track"])
def test_from_too_few_groups_nothing_is_learned(plain, sizes):
    lesson = learned(catalogue(sizes, song=0.5), plain)
    assert not lesson.better and lesson.backend is plain
    assert "too little" in lesson.why


def test_a_credit_that_the_voice_contradicts_joins_nothing(plain):
    voices, who, *_ = catalogue([5] * 12, song=0.7)
    evidence = plain.evidence(voices.means, voices.seconds)
    credit = np.array([f"singer {name}" if name < 6 else "" for name in who], object)
    credit[0] = "singer 5"
    group = teaching.with_credits(np.arange(len(who)), credit, evidence, plain)
    assert len(set(group[1:5])) == 1 and group[0] not in group[1:]
    assert len(set(group[who >= 6])) == 30
