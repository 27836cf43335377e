import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import adjusted_rand_score

from pipeline.scoring import groups, metrics
from pipeline.scoring.groups import (
    A_VOICE,
    agglomerate,
    among,
    concentration,
    growth,
    least_ratio,
    membership,
    nearest_group,
)
from pipeline.scoring.neighbours import nearest


@pytest.mark.parametrize(
    "sizes",
    [[6] * 12, [120, 40, 15, 6, 4, 3, 3], [6, 6], [12], [8] * 6 + [1] * 30],
    ids=["even", "uneven", "two", "one", "strangers"],
)
def test_it_finds_the_tracks_of_each_singer(simulate, backend, sizes):
    vectors, who = simulate(sizes, scatter=0.6)
    group, n_voices, _ = agglomerate(backend.evidence(vectors, np.full(len(who), 60.0)), backend)
    assert n_voices == len(np.unique(group))
    assert (group == group[0]).all() if len(sizes) == 1 else adjusted_rand_score(who, group) > 0.95


def test_many_songs_of_few_singers_are_grouped_although_single_pairs_say_little(simulate, backend):
    vectors, who = simulate([60] * 5, scatter=1.3)
    group, _, _ = agglomerate(backend.evidence(vectors, np.full(len(who), 60.0)), backend)
    assert adjusted_rand_score(who, group) > 0.8


def test_two_similar_tight_voices_stay_apart(simulate, backend):
    vectors, who = simulate([6, 6, 6, 6], scatter=0.25)
    vectors[who == 1] = 0.5 * vectors[who == 0] + 0.5 * vectors[who == 1]
    evidence = backend.evidence(vectors, np.full(len(who), 60.0))
    sums = evidence.summed(who, 4)
    group, n_voices, _ = agglomerate(evidence, backend)
    assert sums.direction[0] @ sums.direction[1] > 0.6
    assert (n_voices, adjusted_rand_score(who, group)) == (4, 1.0)


def test_strangers_in_crowded_directions_stay_apart(simulate, backend):
    vectors, who = simulate([1] * 600 + [3] * 200)
    vectors *= np.arange(1, vectors.shape[1] + 1) ** -0.5
    evidence = backend.evidence(vectors, np.full(len(who), 60.0))
    usual, own = (
        metrics.bcubed(who, agglomerate(evidence, strangers).group) for strangers in (backend, among(evidence, backend))
    )
    assert usual.precision < 0.8
    assert own.precision > 0.99
    assert own.recall > usual.recall - 0.15


def test_more_purity_joins_fewer(simulate, backend):
    vectors, who = simulate([4] * 40, scatter=1.4)
    evidence = backend.evidence(vectors, np.full(len(who), 30.0))
    counts = [agglomerate(evidence, backend, purity).n_voices for purity in (0.5, 0.9, 0.99)]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_up_to_two_tracks(simulate, backend, n):
    evidence = backend.evidence(simulate([2], scatter=0.1)[0][:n], np.full(n, 60.0))
    group, n_voices, _ = agglomerate(evidence, backend)
    assert (len(group), n_voices) == (n, min(n, 1))


def test_the_concentration_gives_the_number_of_voices():
    a = concentration(np.array([20.0]), 500)
    assert a * np.log1p(500 / a) == pytest.approx(20, rel=1e-3)
    assert concentration(np.array([500.0]), 500) == pytest.approx(1000), "no end, so a bound"


def test_beyond_a_voices_usual_size_a_group_gains_nothing_by_its_size():
    odds = growth(np.array([2, 3, A_VOICE + 1, 10 * A_VOICE]))
    assert odds[0] == 0
    assert odds[1] < odds[2] == odds[3]


def test_membership_is_likely_for_right_tracks_and_unlikely_for_wrong_ones(simulate, backend):
    vectors, who = simulate([5] * 40, scatter=1.0)
    evidence = backend.evidence(vectors, np.full(len(who), 60.0))
    group = np.where(
        np.arange(len(who)) % 10 == 0, (who + 1) % 40, who
    )  # every tenth track is in another singer's group
    found = membership(evidence, group, backend, 40)
    assert found[group == who].mean() > 0.8 > 0.2 > found[group != who].mean()
    assert membership(evidence, np.arange(len(who)), backend, 200).max() == 0


def test_a_few_neighbours_give_the_same_groups_as_all(simulate, backend):
    vectors, who = simulate([8] * 40 + [2] * 40 + [1] * 100, scatter=1.0)
    evidence = backend.evidence(vectors, np.full(len(who), 60.0))
    everyone = agglomerate(evidence, backend, near=nearest(evidence, backend, len(who) - 1))
    some = agglomerate(evidence, backend, near=nearest(evidence, backend))
    assert adjusted_rand_score(everyone.group, some.group) > 0.99
    assert some.gain == pytest.approx(everyone.gain, rel=0.01)


def test_ending_the_path_early_gives_the_same_groups(simulate, backend, monkeypatch):
    vectors, who = simulate([4] * 60 + [1] * 200, scatter=1.2)
    evidence = backend.evidence(vectors, np.full(len(who), 60.0))
    monkeypatch.setattr(groups, "DIP", np.inf)
    whole = agglomerate(evidence, backend)
    for dip in (50.0, 0.0):
        monkeypatch.setattr(groups, "DIP", dip)
        short = agglomerate(evidence, backend)
        assert (short.group == whole.group).all()
        assert short.gain == whole.gain


def test_the_lowest_ratio_considered_rises_with_the_number_of_tracks():
    found = [least_ratio(n) for n in (2, 300, 20_000, 1_000_000)]
    assert found[0] == 0
    assert found == sorted(found)
    assert found[-1] < np.log(1_000_000)


def test_the_nearest_other_group_among_neighbours_is_the_nearest_of_all(simulate, backend):
    vectors, who = simulate([5] * 12, scatter=0.8)
    evidence = backend.evidence(vectors, np.full(len(who), 60.0))
    table = backend.table(evidence, evidence.summed(who, 12))
    table[np.arange(len(who)), who] = -np.inf
    every = nearest_group(evidence, who, nearest(evidence, backend, len(who) - 1), backend, 12)
    np.testing.assert_allclose(every, expit(table.max(1) - np.log(concentration(12, len(who)))), atol=1e-3)
    alone = np.arange(len(who))
    assert nearest_group(evidence, alone, nearest(evidence, backend), backend, len(who)).mean() > every.mean()
