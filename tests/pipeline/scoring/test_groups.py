import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from pipeline.scoring.groups import agglomerate, concentration, membership, neighbours


def test_neighbours_are_the_best_of_all_pairs(simulate, backend):
    vectors, _ = simulate([3] * 10)
    evidence = backend.evidence(vectors, np.full(30, 60.0))
    left, right, ratio = neighbours(evidence, backend, k=4)
    table = backend.table(evidence, evidence)
    np.fill_diagonal(table, -np.inf)
    assert (left < right).all()
    np.testing.assert_allclose(ratio, table[left, right], rtol=1e-4, atol=1e-4)
    found = set(zip(left.tolist(), right.tolist(), strict=True))
    for row, best in enumerate(np.argsort(-table, axis=1)[:, :4]):
        assert {(min(row, other), max(row, other)) for other in best.tolist()} <= found


@pytest.mark.parametrize(
    "sizes",
    [[6] * 12, [120, 40, 15, 6, 4, 3, 3], [6, 6], [12], [8] * 6 + [1] * 30],
    ids=["even", "uneven", "two", "one", "strangers"],
)
def test_finds_who_sings_together(simulate, backend, sizes):
    vectors, who = simulate(sizes, scatter=0.6)
    group, n_voices, _ = agglomerate(backend.evidence(vectors, np.full(len(who), 60.0)), backend)
    assert n_voices == len(np.unique(group))
    assert (group == group[0]).all() if len(sizes) == 1 else adjusted_rand_score(who, group) > 0.95


def test_many_songs_of_few_singers_are_found_by_what_they_say_together(simulate, backend):
    vectors, who = simulate([60] * 5, scatter=1.3)
    group, _, _ = agglomerate(backend.evidence(vectors, np.full(len(who), 60.0)), backend)
    assert adjusted_rand_score(who, group) > 0.8


def test_more_purity_joins_fewer(simulate, backend):
    vectors, who = simulate([4] * 40, scatter=1.4)
    evidence = backend.evidence(vectors, np.full(len(who), 30.0))
    counts = [agglomerate(evidence, backend, purity).n_voices for purity in (0.5, 0.9, 0.99)]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_any_tracks(simulate, backend, n):
    evidence = backend.evidence(simulate([2], scatter=0.1)[0][:n], np.full(n, 60.0))
    group, n_voices, _ = agglomerate(evidence, backend)
    assert (len(group), n_voices) == (n, min(n, 1))


def test_concentration_gives_the_number_of_voices_back():
    a = concentration(np.array([20.0]), 500)
    assert a * np.log1p(500 / a) == pytest.approx(20, rel=1e-3)
    assert concentration(np.array([500.0]), 500) == pytest.approx(1000), "no end, so a bound"


def test_membership_says_how_often_it_is_right(simulate, backend):
    vectors, who = simulate([5] * 40, scatter=1.0)
    evidence = backend.evidence(vectors, np.full(len(who), 60.0))
    group = np.where(np.arange(len(who)) % 10 == 0, (who + 1) % 40, who)  # every tenth track is with another singer
    found = membership(evidence, group, backend, 40)
    assert found[group == who].mean() > 0.8 > 0.2 > found[group != who].mean()
    assert membership(evidence, np.arange(len(who)), backend, 200).max() == 0
