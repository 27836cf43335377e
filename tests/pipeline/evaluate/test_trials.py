"""Trials: no target is two crops of one recording; they are deterministic and read back as written."""

import numpy as np
import pytest

from pipeline.evaluate import trials
from pipeline.scoring.metrics import NotMeasurable
from pipeline.store.errors import ConfigError

SINGERS = ["ann", "ann", "ann", "bob", "bob", "cher"]
RECORDINGS = ["a1", "a1", "a2", "b1", "b2", "c1"]


def as_set(made: trials.Trials) -> set[tuple[int, int, bool]]:
    return set(zip(made.left.tolist(), made.right.tolist(), made.label.tolist(), strict=True))


def test_trials_are_all_pairs_of_different_recordings():
    made = trials.make(SINGERS, RECORDINGS)
    expected = {
        (i, j, SINGERS[i] == SINGERS[j]) for i in range(6) for j in range(i + 1, 6) if RECORDINGS[i] != RECORDINGS[j]
    }
    assert as_set(made) == expected and len(made) == len(expected)
    assert not made.same_recording.any()


def test_pairs_of_one_recording_only_on_request_and_separately():
    made = trials.make(SINGERS, RECORDINGS, same_recording=True)
    apart = made.where(made.same_recording)
    assert as_set(apart) == {(0, 1, True)}
    assert as_set(made.where(~made.same_recording)) == as_set(trials.make(SINGERS, RECORDINGS))


@pytest.mark.parametrize("n", [400, 2500], ids=["enumerated", "drawn"])
def test_trials_of_large_sets_are_drawn_without_repeats(n):
    rng = np.random.default_rng(0)
    singers = [f"s{i}" for i in rng.integers(0, 20, n)]
    recordings = [f"{singer}/{i % 7}" for i, singer in enumerate(singers)]
    made = trials.make(singers, recordings, max_trials=5000, seed=1)
    assert len(made) == 5000 and made.label.sum() == 2500 and len(as_set(made)) == 5000
    names = np.array(singers)
    assert ((names[made.left] == names[made.right]) == made.label).all()
    assert as_set(made) == as_set(trials.make(singers, recordings, max_trials=5000, seed=1))
    assert as_set(made) != as_set(trials.make(singers, recordings, max_trials=5000, seed=2))


def test_a_rare_class_leaves_its_trials_to_the_other():
    singers = ["ann", "ann", *(f"s{i}" for i in range(300))]
    made = trials.make(singers, list(map(str, range(302))), max_trials=1000)
    assert made.label.sum() == 1 and len(made) == 1000


@pytest.mark.timeout(60)
def test_a_million_trials_are_drawn_from_two_hundred_million_pairs():
    singers = [f"s{i % 500}" for i in range(20_000)]
    recordings = [f"{i % 2500}" for i in range(20_000)]
    assert len(trials.make(singers, recordings, max_trials=1_000_000)) > 900_000


def test_sets_without_a_pair_are_reported():
    with pytest.raises(NotMeasurable, match="one singer"):
        trials.make(["ann"] * 3, ["1", "2", "3"])
    with pytest.raises(NotMeasurable, match="one singer"):
        trials.make([], [])
    with pytest.raises(NotMeasurable, match="two recordings"):
        trials.make(["ann", "ann", "bob"], ["1", "1", "2"])


def test_written_trials_are_read_back(tmp_path):
    names = [trials.item_name(f"ann, live/{i}.wav", i, i + 4) for i in range(6)]
    made = trials.make(SINGERS, RECORDINGS, same_recording=True)
    (tmp_path / "trials.csv").write_text(trials.to_csv(made, names))
    again, found = trials.read(tmp_path / "trials.csv")
    pairs = [
        {(names[a], names[b], y, s) for a, b, y, s in zip(t.left, t.right, t.label, t.same_recording, strict=True)}
        for t, names in ((made, names), (again, found))
    ]
    assert pairs[0] == pairs[1]


def test_published_lists_are_read(tmp_path):
    (tmp_path / "speaker_pairs.txt").write_text("1,f1/a.wav,f1/b.wav\n0,f1/a.wav,m2/c.wav\n\n")
    read, names = trials.read(tmp_path / "speaker_pairs.txt")
    assert names == ["f1/a.wav", "f1/b.wav", "m2/c.wav"]
    assert as_set(read) == {(0, 1, True), (0, 2, False)}


def test_bad_files_are_reported_with_the_line(tmp_path):
    bad = tmp_path / "trials.csv"
    with pytest.raises(ConfigError, match="cannot read the trials"):
        trials.read(bad)
    bad.write_text("label,left,right\n1,a,b\nyes,a,b\n")
    with pytest.raises(ConfigError, match="line 3: 'yes,a,b' is not a trial"):
        trials.read(bad)
    bad.write_text("label,left,right\n")
    with pytest.raises(ConfigError, match="holds no trial"):
        trials.read(bad)


def test_item_names_round_trip():
    assert trials.parse_item(trials.item_name("x#y/a.wav", 1.5, 5.25)) == ("x#y/a.wav", 1.5, 5.25)
    assert trials.parse_item("Alto-1#newboy/0000.wav") == ("Alto-1#newboy/0000.wav", None, None)
