import numpy as np
import pytest

from pipeline.scoring.backend import Backend
from pipeline.scoring.centre import centred, moved
from pipeline.scoring.voices import Voices

DIM = 64
LEAN = 0.7 * np.eye(DIM)[0]  # what all recordings of a catalogue have in common
BACKEND = Backend(np.zeros(DIM), np.eye(DIM), variance=0.4)


def catalogue(simulate, sizes: list[int], lean: np.ndarray = LEAN) -> Voices:
    """Return voices that are all shifted to one side."""
    vectors, who = simulate(sizes, scatter=0.6)
    return Voices(np.arange(len(who)).astype(str), 0.6 * vectors + lean, np.full(len(who), 60.0))


def left(voices: Voices) -> float:
    """Return the part of the shift that remains after centring."""
    return float(1 - centred(voices, BACKEND).mean @ LEAN / (LEAN @ LEAN))


def test_a_catalogue_of_many_voices_has_its_own_centre(simulate):
    assert left(catalogue(simulate, [1] * 200)) < 0.1
    assert left(catalogue(simulate, [6] * 10)) < 0.2, "groups stand out clearly from the mean"


def test_a_folder_of_one_singer_does_not_move_the_centre(simulate):
    folder = catalogue(simulate, [12], np.zeros(DIM))
    np.testing.assert_allclose(centred(folder, BACKEND).mean, 0, atol=1e-9)


def test_a_voice_counts_once_however_many_tracks_it_has():
    means = np.array([[1.0, 0.0]] * 9 + [[0.0, 1.0]])
    backend = Backend(np.array([9.0, 9.0]), np.eye(2), variance=1e-9)
    np.testing.assert_allclose(moved(backend, means, np.array([0] * 9 + [1]), 1.0).mean, [0.5, 0.5], atol=1e-6)


def test_a_shift_that_chance_explains_does_not_move_the_centre():
    backend = Backend(np.zeros(2), np.eye(2), variance=1.0)
    means = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert not moved(backend, means, np.array([0, 1]), 1.0).mean.any()
    assert moved(backend, means, np.array([0, 1]), 0.5).mean == pytest.approx([0.25, 0.25])


def test_without_a_known_variance_the_centre_does_not_move(simulate):
    voices = catalogue(simulate, [1] * 50)
    assert not moved(Backend(np.zeros(DIM), np.eye(DIM)), voices.means, np.arange(50), 1.0).mean.any()


def test_without_voices_the_back_end_is_unchanged(simulate):
    assert centred(catalogue(simulate, [1])[np.arange(0)], BACKEND) is BACKEND
