"""Mixing down: nothing cancels out, nothing is missing, full scale stays full scale, and there are no clicks."""

import numpy as np
import pytest

from pipeline.sound.mixdown import WINDOW_S, as_they_are, mixed_down, to_sides
from pipeline.sound.reading import Piece
from pipeline.store.errors import Problem

RATE = 8000
STEREO = ("FL", "FR")


def tone(seconds: float = 1.0, hz: float = 330.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def down(samples: np.ndarray, channels: int, layout: tuple[str, ...] = STEREO, step: int = 1000) -> np.ndarray:
    pieces = [Piece(samples[:, start : start + step], RATE, layout) for start in range(0, samples.shape[1], step)]
    return np.concatenate([mixed for mixed, _ in mixed_down(pieces, channels)], axis=1)


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


def test_ordinary_stereo_is_unchanged():
    wave = np.stack([tone(21), 0.3 * tone(21, 500)])
    np.testing.assert_array_equal(down(wave, 2), wave)
    np.testing.assert_allclose(down(wave, 1), wave.mean(axis=0, keepdims=True), atol=1e-7)
    np.testing.assert_array_equal(down(wave, 2, step=777), down(wave, 2, step=4096))


def test_mono_is_on_both_sides():
    np.testing.assert_array_equal(down(tone()[None], 2, ("FC",)), np.stack([tone(), tone()]))
    np.testing.assert_array_equal(down(tone()[None], 1, ("FC",)), tone()[None])


@pytest.mark.parametrize("other", [-1.0, -0.98, -0.7])
def test_a_channel_that_is_the_inverse_of_the_other_is_inverted(other):
    wave = np.stack([tone(), np.float32(other) * tone()])
    assert rms(down(wave, 1)) == pytest.approx((1 - other) / 2 * rms(tone()), rel=0.02)
    np.testing.assert_allclose(down(wave, 2)[:, 400:], np.outer([1, -other], tone()[400:]), atol=1e-6)


@pytest.mark.parametrize("side", [0, 1])
def test_if_one_channel_is_silent_both_get_the_other(side):
    wave = np.zeros((2, RATE), np.float32) + np.float32(0.2)  # a constant is not sound
    wave[side] = tone()
    mixed = down(wave, 2)
    np.testing.assert_array_equal(mixed[0, 400:], mixed[1, 400:])
    np.testing.assert_array_equal(down(wave, 1)[0, 400:], tone()[400:])


def test_a_quiet_channel_is_not_a_silent_one():
    wave = np.stack([tone(), np.float32(0.02) * tone(hz=500)])
    np.testing.assert_array_equal(down(wave, 2), wave)


def test_changes_of_the_mixing_make_no_click():
    n = round(WINDOW_S * RATE)
    wave = np.stack([tone(2 * WINDOW_S), tone(2 * WINDOW_S)])
    wave[1, n:] *= -1
    mixed = down(wave, 2)
    largest = np.abs(np.diff(tone())).max()
    assert np.abs(np.diff(mixed[1, n:])).max() < 1.2 * largest
    assert rms(down(wave, 1)[:, n + 1000 :]) == pytest.approx(rms(tone()), rel=0.01)


def test_silence_stays_silence():
    assert not down(np.zeros((2, 3 * RATE), np.float32), 1).any()


@pytest.mark.parametrize(
    ("layout", "left", "right"),
    [
        (("FL", "FR", "LFE"), [1, 0, 0], [0, 1, 0]),
        (("FL", "FR", "FC", "LFE", "SL", "SR"), [0.414, 0, 0.293, 0, 0.293, 0], [0, 0.414, 0.293, 0, 0, 0.293]),
        (("NONE",) * 20, [0.05] * 20, [0.05] * 20),
    ],
)
def test_channels_go_to_their_sides_and_full_scale_stays_full_scale(layout, left, right):
    each = to_sides(Piece(np.eye(len(layout), dtype=np.float32), RATE, layout))
    np.testing.assert_allclose(each, [left, right], atol=1e-3)


def test_unmixed_channels_are_kept_unless_their_number_changes():
    four, two = (Piece(np.ones((n, 5), np.float32), RATE, ("NONE",) * n) for n in (4, 2))
    assert [samples.shape for samples, _ in as_they_are([four, four])] == [(4, 5), (4, 5)]
    with pytest.raises(Problem, match="4 channels at first, and 2 later"):
        list(as_they_are([four, two]))
