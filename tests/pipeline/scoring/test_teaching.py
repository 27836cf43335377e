import numpy as np
import pytest

from pipeline.scoring import metrics, teaching
from pipeline.scoring.backend import Backend
from pipeline.scoring.scatter import Scatter, scatter
from pipeline.scoring.scores import unit
from pipeline.scoring.teaching import CLIPS, TRACKS
from pipeline.scoring.voices import Voices

DIM = 48
NOTHING = Scatter(np.zeros((DIM, DIM)), 0)


def catalogue(sizes: list[int], seed: int = 0, song: float = 2.0) -> tuple[Voices, np.ndarray, Scatter]:
    """Return tracks whose songs differ most in six directions that say nothing of the singer, who sings, and clips."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(len(sizes)), sizes)
    stretch = np.where(np.arange(DIM) < 6, song, 0.7)
    tracks = rng.normal(size=(len(sizes), DIM))[who] + rng.normal(size=(len(who), DIM)) * stretch
    clips = unit(tracks[np.repeat(np.arange(len(who)), 6)] + rng.normal(size=(6 * len(who), DIM)))
    track = np.repeat(np.arange(len(who)), 6)
    means = np.add.reduceat(clips, np.arange(0, len(clips), 6)) / 6
    names = np.array([f"t{i:04}" for i in range(len(who))])
    return Voices(names, means, np.full(len(who), 36.0)), who, scatter(clips, track)


def error(voices: Voices, who: np.ndarray, backend: Backend) -> float:
    """Return the equal-error rate between tracks, by their true singers."""
    return teaching.disagreement(backend, voices.means, who)


@pytest.fixture
def plain() -> Backend:
    """Return a back-end that takes vectors as they are."""
    return Backend(np.zeros(DIM), np.eye(DIM), encoder_id="e")


def test_the_normalisation_weights_each_covariance_by_its_degrees_of_freedom():
    rng = np.random.default_rng(0)
    before = np.diag([1.0, 2.0, 0.5])
    rows = rng.normal(size=(40, 3)) * [1.0, 3.0, 0.2]
    seen = Scatter(rows.T @ rows, 40)
    own = np.diag([1.0, 1 / 4, 4.0])
    expected = 40 / 100 * seen.squares * 3 / np.trace(seen.squares) + 60 / 100 * own * 3 / np.trace(own)
    matrix = teaching.normalisation(before, (seen, 60.0))
    np.testing.assert_allclose(matrix @ expected @ matrix, np.eye(3), atol=1e-9)


def test_without_data_the_normalisation_changes_only_in_scale():
    before = np.diag([1.0, 2.0, 0.5])
    nothing = Scatter(np.zeros((3, 3)), 0)
    found = teaching.normalisation(before, (nothing, CLIPS), (nothing, TRACKS))
    np.testing.assert_allclose(found / found[0, 0], before, atol=1e-12)


def test_it_learns_which_differences_say_nothing_about_the_singer(plain):
    voices, who, clips = catalogue([5] * 30 + [1] * 40)
    lesson = teaching.learn(voices, plain, clips)
    assert lesson.better and lesson.after < lesson.before
    assert error(voices, who, lesson.backend) < 0.85 * error(voices, who, plain)


def test_what_was_learned_holds_for_other_singers(plain):
    voices, _, clips = catalogue([5] * 30 + [1] * 40)
    others, who, _ = catalogue([5] * 30, seed=7)
    lesson = teaching.learn(voices, plain, clips)
    assert error(others, who, lesson.backend) < 0.85 * error(others, who, plain)


def test_a_map_that_fails_the_test_without_labels_is_not_better(plain):
    voices, _, clips = catalogue([5] * 30 + [1] * 40, song=3.0)  # songs differ so much that groups mix several singers
    lesson = teaching.learn(voices, plain, clips)
    assert not lesson.better and lesson.after >= lesson.before


def test_tracks_with_little_singing_are_not_learned_from(plain):
    voices, _, clips = catalogue([5] * 30)
    short = Voices(voices.track_ids, voices.means, np.full(len(voices), 8.0))
    assert "too little" in teaching.learn(short, plain, clips).why


@pytest.mark.parametrize("sizes", [[40], [2] * 3 + [1] * 20, [1]], ids=["one singer", "few groups", "one track"])
def test_from_too_few_groups_nothing_is_learned(plain, sizes):
    voices, _, clips = catalogue(sizes, song=0.5)
    lesson = teaching.learn(voices, plain, clips)
    assert not lesson.better and lesson.backend is plain
    assert "too little" in lesson.why


def test_precise_groups_are_cut_at_a_mean_cosine():
    near, far = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]
    rows = unit([near, [0.9, 0.1, 0.0], far, [0.1, 0.9, 0.0], [0.0, 0.0, 1.0]])
    group = teaching.precise_groups(rows, 0.9)
    assert group[0] == group[1] != group[2] == group[3] and len(set(group)) == 3
    assert teaching.precise_groups(rows[:1], 0.9).tolist() == [0]


def test_a_credit_that_the_voice_contradicts_joins_nothing(plain):
    voices, who, _ = catalogue([5] * 12, song=0.7)
    evidence = plain.evidence(voices.means, voices.seconds)
    credit = np.array([f"singer {name}" if name < 6 else "" for name in who], object)
    credit[0] = "singer 5"
    group = teaching.with_credits(np.arange(len(who)), credit, evidence, plain)
    assert len(set(group[1:5])) == 1 and group[0] not in group[1:]
    assert len(set(group[who >= 6])) == 30


def test_of_many_tracks_a_sample_and_its_nearest_tracks_are_learned_from(plain):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(teaching.MOST + 500, DIM)).astype(np.float32)
    evidence = plain.evidence(rows, np.full(len(rows), 60.0))
    found = teaching.look_alikes(evidence, np.random.default_rng(1))
    assert teaching.NEAREST < len(found) <= teaching.MOST and len(set(found)) == len(found)
    assert len(teaching.look_alikes(evidence[:100], np.random.default_rng(1))) == 100


def test_disagreement_is_the_equal_error_rate_of_pairs_given_the_groups(plain):
    voices, who, _ = catalogue([4] * 8)
    normed = unit(voices.means)
    pairs = [(i, j) for i in range(32) for j in range(i)]
    expected = metrics.eer([normed[i] @ normed[j] for i, j in pairs], [who[i] == who[j] for i, j in pairs])
    assert teaching.disagreement(plain, voices.means, who) == pytest.approx(expected, abs=0.005)
    assert teaching.disagreement(plain, voices.means, np.zeros(32, int)) == 0


def test_numbers_follow_the_change_of_cosines_within_and_between_groups(plain):
    voices, who, _ = catalogue([4] * 8)
    rows = unit(voices.means)
    closer = unit(rows + 0.5 * np.array([rows[who == name].mean(0) for name in who]))
    first = Backend(np.zeros(2 * DIM), np.diag(np.repeat([1.0, 1e-9], DIM)))
    then = Backend(np.zeros(2 * DIM), np.diag(np.repeat([1e-9, 1.0], DIM)))
    means = np.concatenate([rows, closer], 1)
    found = teaching.moved(first, means, then, means, who)
    left, right = np.triu_indices(32, 1)
    same = who[left] == who[right]
    before, after = (rows @ rows.T)[left, right], (closer @ closer.T)[left, right]
    narrower = before[~same].var() / after[~same].var()
    assert found.share == pytest.approx(first.numbers.share * after[same].mean() / before[same].mean(), rel=1e-4)
    assert found.slope == pytest.approx(first.numbers.slope * narrower, rel=1e-4)
    assert found.curve == pytest.approx(first.numbers.curve * narrower, rel=1e-4)
    assert teaching.moved(first, means, then, means, np.arange(32)) == first.numbers


def test_an_encoder_with_the_map_in_its_head_scores_like_the_taught_back_end(plain):
    voices, _, clips = catalogue([5] * 30)
    taught = teaching.learn(voices, plain, clips).backend
    own = teaching.for_mapped(taught, voices, clips, "mapped")
    mapped = unit(voices.means) @ taught.matrix
    length = np.linalg.norm(voices.means, axis=1)[:, None]
    here = taught.evidence(voices.means, voices.seconds)
    there = own.evidence(mapped * length, voices.seconds)
    np.testing.assert_allclose(here.direction @ here.direction.T, there.direction @ there.direction.T, atol=1e-4)
    assert own.encoder_id == "mapped" and own.numbers == taught.numbers
