"""The test without labels: which tracks are asked, and what counts as better."""

import numpy as np
import pytest

from pipeline.scoring import witness
from pipeline.scoring.backend import Backend
from pipeline.scoring.scores import unit
from pipeline.scoring.voices import Voices
from pipeline.scoring.witness import Errors

DIM = 48
SINGERS, SONGS = 20, 4


def catalogue(song: float) -> Voices:
    """Return four songs each of twenty singers, which differ by `song`; the last song of each has 6 s of singing."""
    rng = np.random.default_rng(0)
    singers = rng.normal(size=(SINGERS, 1, DIM))
    means = unit((singers + song * rng.normal(size=(SINGERS, SONGS, DIM))).reshape(-1, DIM))
    names = np.array([f"t{i:03}" for i in range(len(means))])
    return Voices(names, means, np.tile([36.0, 36.0, 36.0, 6.0], SINGERS))


@pytest.fixture
def plain() -> Backend:
    """Return a back-end that takes vectors as they are."""
    return Backend(np.zeros(DIM), np.eye(DIM), encoder_id="e")


@pytest.fixture
def heard() -> Voices:
    """Return the catalogue as the old encoder hears it."""
    return catalogue(song=1.0)


def test_what_tells_all_tracks_apart_better_is_better(plain: Backend, heard: Voices) -> None:
    errors = witness.tested(plain, heard, heard.seconds > 15, plain, catalogue(song=0.5).means)
    assert errors.better
    assert errors.after < errors.before and errors.all_after < errors.all_before


def test_what_helps_long_tracks_and_moves_short_ones_is_not(plain: Backend, heard: Voices) -> None:
    long = heard.seconds > 15
    moved = catalogue(song=0.5).means
    moved[~long] = unit(moved[~long] + 2 * np.eye(DIM)[0])
    errors = witness.tested(plain, heard, long, plain, moved)
    assert errors.after < errors.before, "the long tracks are told apart better"
    assert errors.all_after > errors.all_before and not errors.better


def test_if_all_tracks_taught_there_is_one_answer(plain: Backend, heard: Voices) -> None:
    errors = witness.tested(plain, heard, np.ones(len(heard), bool), plain, catalogue(song=0.5).means)
    assert errors.better and (errors.before, errors.after) == (errors.all_before, errors.all_after)


def test_what_was_not_tested_is_not_better() -> None:
    assert not Errors().better


def test_tracks_without_singing_that_did_not_teach_are_not_asked(plain: Backend, heard: Voices) -> None:
    heard.seconds[[5, 8]] = 0.0
    rows = witness.witnesses(heard, plain, np.arange(10), seed=0)
    assert rows.tolist() == [row for row in range(len(heard)) if row not in (5, 8)]


def test_in_a_large_catalogue_all_that_taught_are_asked_and_a_sample_of_the_others(plain: Backend) -> None:
    rng = np.random.default_rng(0)
    n = witness.MOST + 500
    large = Voices(np.arange(n), rng.normal(size=(n, DIM)), np.full(n, 60.0))
    taught = rng.permutation(n)[:300]
    rows = witness.witnesses(large, plain, taught, seed=0)
    assert set(taught) < set(rows) and len(rows) <= witness.MOST + 300


def test_of_many_tracks_a_sample_and_its_nearest_tracks_are_taken(plain):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(witness.MOST + 500, DIM)).astype(np.float32)
    evidence = plain.evidence(rows, np.full(len(rows), 60.0))
    found = witness.look_alikes(evidence, np.random.default_rng(1))
    assert witness.NEAREST < len(found) <= witness.MOST and len(set(found)) == len(found)
    assert len(witness.look_alikes(evidence[:100], np.random.default_rng(1))) == 100
