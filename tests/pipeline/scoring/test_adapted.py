import numpy as np
import pytest

from pipeline.scoring import adapted, metrics
from pipeline.scoring.backend import Backend
from pipeline.scoring.scatter import Scatter
from pipeline.scoring.scores import unit
from pipeline.scoring.teaching import CLIPS, TRACKS
from tests.pipeline.scoring.test_teaching import DIM, catalogue, learned

PLAIN = Backend(np.zeros(DIM), np.eye(DIM), encoder_id="e")


def test_the_normalisation_weights_each_covariance_by_its_degrees_of_freedom():
    rng = np.random.default_rng(0)
    before = np.diag([1.0, 2.0, 0.5])
    rows = rng.normal(size=(40, 3)) * [1.0, 3.0, 0.2]
    seen = Scatter(rows.T @ rows, 40)
    own = np.diag([1.0, 1 / 4, 4.0])
    expected = 40 / 100 * seen.squares * 3 / np.trace(seen.squares) + 60 / 100 * own * 3 / np.trace(own)
    matrix = adapted.normalisation(before, (seen, 60.0))
    np.testing.assert_allclose(matrix @ expected @ matrix, np.eye(3), atol=1e-9)


def test_without_data_the_normalisation_changes_only_in_scale():
    before = np.diag([1.0, 2.0, 0.5])
    nothing = Scatter(np.zeros((3, 3)), 0)
    found = adapted.normalisation(before, (nothing, CLIPS), (nothing, TRACKS))
    np.testing.assert_allclose(found / found[0, 0], before, atol=1e-12)


def test_disagreement_is_the_equal_error_rate_of_pairs_given_the_groups():
    voices, who, *_ = catalogue([4] * 8)
    normed = unit(voices.means)
    pairs = [(i, j) for i in range(32) for j in range(i)]
    expected = metrics.eer([normed[i] @ normed[j] for i, j in pairs], [who[i] == who[j] for i, j in pairs])
    assert adapted.disagreement(PLAIN, voices.means, who) == pytest.approx(expected, abs=0.005)
    assert adapted.disagreement(PLAIN, voices.means, np.zeros(32, int)) == 0


def test_numbers_follow_the_change_of_cosines_within_and_between_groups():
    voices, who, *_ = catalogue([4] * 8)
    rows = unit(voices.means)
    closer = unit(rows + 0.5 * np.array([rows[who == name].mean(0) for name in who]))
    first = Backend(np.zeros(2 * DIM), np.diag(np.repeat([1.0, 1e-9], DIM)))
    then = Backend(np.zeros(2 * DIM), np.diag(np.repeat([1e-9, 1.0], DIM)))
    means = np.concatenate([rows, closer], 1)
    found = adapted.adapted_numbers(first, means, then, means, who)
    left, right = np.triu_indices(32, 1)
    same = who[left] == who[right]
    before, after = (rows @ rows.T)[left, right], (closer @ closer.T)[left, right]
    narrower = before[~same].var() / after[~same].var()
    assert found.share == pytest.approx(first.numbers.share * after[same].mean() / before[same].mean(), rel=1e-4)
    assert found.slope == pytest.approx(first.numbers.slope * narrower, rel=1e-4)
    assert found.curve == pytest.approx(first.numbers.curve * narrower, rel=1e-4)
    assert adapted.adapted_numbers(first, means, then, means, np.arange(32)) == first.numbers


def test_an_encoder_with_the_map_in_its_head_scores_like_the_taught_back_end():
    made = catalogue([5] * 30)
    voices, clips, taught = made.voices, made.clips, learned(made, PLAIN).backend
    own = adapted.for_mapped(taught, voices, clips, "mapped")
    mapped = unit(voices.means) @ taught.matrix
    length = np.linalg.norm(voices.means, axis=1)[:, None]
    here = taught.evidence(voices.means, voices.seconds)
    there = own.evidence(mapped * length, voices.seconds)
    np.testing.assert_allclose(here.direction @ here.direction.T, there.direction @ there.direction.T, atol=1e-4)
    assert own.encoder_id == "mapped" and own.numbers == taught.numbers
