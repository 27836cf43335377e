import numpy as np
import pytest

from pipeline.scoring.strangers import SHRINK, Strangers, change


def uneven(simulate, sizes, **kwargs):
    vectors, who = simulate(sizes, **kwargs)
    vectors *= (np.arange(64) + 5.0) ** -0.6
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), who


def test_the_variance_equals_that_of_cosines_with_strangers(simulate):
    vectors, who = uneven(simulate, [1] * 6000)
    variance = Strangers.of(vectors, who).variance(vectors[:500])
    found = (vectors[:500] @ vectors[500:].T).var(axis=1)
    assert np.corrcoef(variance, found)[0, 1] > 0.95
    assert variance.mean() == pytest.approx(1, abs=0.02)
    share = 6000 / (6000 + SHRINK)
    np.testing.assert_allclose(variance.std(), share * (found / found.mean()).std(), rtol=0.1)


def test_each_singer_counts_once(simulate):
    vectors, who = uneven(simulate, [1] * 50)
    often = np.r_[who, np.full(500, 7)]
    np.testing.assert_allclose(Strangers.of(vectors[often], often).moment, Strangers.of(vectors, who).moment, atol=1e-6)


@pytest.mark.parametrize("sizes", [[12], [6, 6], [100] * 3])
def test_a_few_voices_say_nothing_about_strangers(simulate, sizes):
    vectors, who = uneven(simulate, sizes, scatter=0.3)
    np.testing.assert_allclose(Strangers.of(vectors, who).variance(vectors), 1, atol=0.03)


def test_a_vectors_length_does_not_matter_and_a_zero_vector_has_the_usual_variance(simulate):
    vectors, who = uneven(simulate, [1] * 400)
    strangers = Strangers.of(vectors, who)
    np.testing.assert_allclose(strangers.variance(3 * vectors), strangers.variance(vectors), rtol=1e-5)
    assert strangers.variance(np.zeros((1, 64), np.float32)) == [1]
    nothing = Strangers.of(np.zeros((3, 64)), np.arange(3))
    assert np.isfinite(nothing.variance(vectors)).all()


def test_a_high_cosine_is_weaker_evidence_if_strangers_have_it_too():
    assert change(np.array([0.0, 0.5, 0.9]), np.ones(3), 40.0).tolist() == [0, 0, 0]
    crowded, sparse = (change(np.array([0.3, 0.8]), np.full(2, variance), 40.0) for variance in (2.0, 0.5))
    assert 0 > crowded[0] > crowded[1]
    assert 0 < sparse[0] < sparse[1]
