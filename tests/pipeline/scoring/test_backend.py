import numpy as np
import pytest

from pipeline.scoring.backend import Backend, Numbers, between_matrix, within_matrix
from pipeline.scoring.evidence import Evidence


def test_evidence_of_a_set_is_the_sum_of_its_tracks(simulate, backend):
    vectors, who = simulate([3, 2])
    tracks = backend.evidence(vectors, np.full(5, 60.0))
    sets = tracks.summed(who, 2)
    np.testing.assert_allclose(sets.vector[0], tracks.vector[:3].sum(0), rtol=1e-5)
    r = tracks.reliability[0]
    assert sets.reliability[0] == pytest.approx(3 * r / (1 + 2 * r)), "Spearman and Brown's formula"
    left = sets[who] - tracks
    assert left.reliability[0] == pytest.approx(2 * r / (1 + r))


def test_rows_without_a_group_add_nothing(simulate, backend):
    vectors, _ = simulate([3])
    found = backend.evidence(vectors, np.full(3, 60.0)).summed(np.array([0, -1, 0]), 2)
    assert found.precision[1] == 0
    assert (found.direction[1] == 0).all()


def test_more_singing_is_stronger_evidence(simulate, backend):
    vectors, _ = simulate([2], scatter=0.3)
    short, long = (backend.evidence(vectors, np.full(2, seconds)) for seconds in (4.0, 60.0))
    assert backend.pairs(long[:1], long[1:])[0] > backend.pairs(short[:1], short[1:])[0]
    opposite = Evidence.of_tracks(-long.vector, long.precision)
    assert backend.pairs(long[:1], opposite[:1])[0] < -5


def test_pairs_and_table_agree_and_silence_is_no_evidence(simulate, backend):
    vectors, _ = simulate([2] * 5)
    found = backend.evidence(vectors, np.linspace(5, 80, 10))
    np.testing.assert_allclose(np.diag(backend.table(found, found)), backend.pairs(found, found), rtol=1e-4, atol=1e-4)
    silent = found[:1].scaled(np.zeros(1))
    assert backend.pairs(silent, found[:1])[0] == -np.inf
    assert np.isneginf(backend.table(silent, found)).all()


def test_half_a_recording_counts_as_half(simulate, backend):
    vectors, _ = simulate([2])
    whole = backend.evidence(vectors, np.full(2, 60.0))
    halves = backend.evidence(vectors, np.full(2, 60.0), np.full(2, 0.5))
    np.testing.assert_allclose(halves.precision, whole.precision / 2)
    np.testing.assert_allclose(halves.direction, whole.direction, atol=1e-6)


def test_a_back_end_is_read_back_from_its_file():
    backend = Backend(np.arange(3.0), np.eye(3), Numbers(0.4, 5, 30, 20, 1, 0.02), "custom-01", 0.5)
    found = Backend.from_bytes(backend.to_bytes())
    assert (found.numbers, found.encoder_id, found.variance) == (backend.numbers, "custom-01", 0.5)
    np.testing.assert_allclose(found.matrix, backend.matrix)


@pytest.mark.parametrize("data", [b"", b"nothing of the kind", Backend(np.zeros(2), np.eye(2)).to_bytes()[:40]])
def test_a_file_of_another_kind_is_refused(data):
    with pytest.raises(ValueError, match="not a calibration"):
        Backend.from_bytes(data)


def test_normalisation_whitens_clips_within_a_track():
    rng = np.random.default_rng(0)
    apart = rng.normal(size=(5000, 4)) * [4, 1, 1, 0.2]
    matrix = within_matrix(apart.T @ apart)
    before, after = (values.std(0).max() / values.std(0).min() for values in (apart, apart @ matrix))
    assert after < before / 2


def test_directions_in_which_singers_vary_most_count_less():
    rng = np.random.default_rng(0)
    singers = rng.normal(size=(1000, 8)) * [4, 1, 1, 1, 1, 1, 1, 1]
    singers /= np.linalg.norm(singers, axis=1, keepdims=True)
    many, few = between_matrix(singers), between_matrix(singers[:5])
    assert many[0, 0] < 0.75 * many[1, 1]
    assert few[0, 0] > 0.95 * few[1, 1], "five singers do not tell how singers differ"
