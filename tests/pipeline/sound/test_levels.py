import numpy as np
import pytest

from pipeline.sound.levels import Frames, db_to_gain, near_the_loud, power_to_db


def test_decibels_there_and_back():
    assert db_to_gain(-20.0) == pytest.approx(0.1)
    gains = db_to_gain(np.array([0.0, 6.0, -90.0]))
    np.testing.assert_allclose(power_to_db(gains**2), [0, 6, -90])
    assert power_to_db(0.0) == -200


@pytest.mark.parametrize("block", [1, 7, 100, 1000])
def test_frames_do_not_depend_on_the_blocks(block):
    wave = np.random.default_rng(0).normal(0, 0.1, 1030).astype(np.float32)
    frames = Frames(100)
    for start in range(0, len(wave), block):
        frames.add(wave[start : start + block])
    assert frames.n == 1030
    expected = [wave[start : start + 100].var(dtype=np.float64) for start in range(0, 1030, 100)]
    np.testing.assert_allclose(frames.powers(), expected)


def test_a_constant_is_not_sound():
    frames = Frames(100)
    frames.add(np.tile(np.array([0.5, 0.3], np.float32), 100))  # a signal of 0.1 around a constant of 0.4
    np.testing.assert_allclose(frames.levels_db(), [-20, -20], atol=1e-4)
    assert Frames(100).levels_db().shape == (0,)


def test_a_frame_is_voiced_if_near_the_loudest_and_above_the_floor():
    levels_db = np.array([-20.0] * 10 + [-49.0, -51.0, -200.0])
    assert near_the_loud(levels_db, 30, -55).tolist() == [True] * 11 + [False] * 2
    assert near_the_loud(levels_db, 30, -30).tolist() == [True] * 10 + [False] * 3
    assert not near_the_loud(np.full(5, -60.0), 30, -55).any()
    assert near_the_loud(np.zeros(0), 30, -55).shape == (0,)
