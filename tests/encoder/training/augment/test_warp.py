"""Changes of pitch, formants and duration, measured on a voice of which they are known."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from encoder.training.augment.warp import formant_shift, play_at, time_stretch, warp

RATE = 44100


def shifted(waves: Tensor, semitones: Tensor) -> Tensor:
    one = torch.ones_like(semitones)
    return warp(waves, RATE, torch.pow(2.0, semitones / 12), one, one)


@pytest.mark.parametrize("pitch_hz", [90.0, 110.0, 130.0, 160.0, 190.0, 220.0])
@pytest.mark.parametrize("shift", [3.0, -3.0])
def test_a_pitch_shift_moves_the_pitch_and_keeps_the_envelope(measure: Any, pitch_hz: float, shift: float) -> None:
    before = measure.voice(pitch_hz)
    after = shifted(before, torch.tensor([shift]))
    assert after.shape == before.shape
    assert measure.semitones(after[0], pitch_hz, shift) == pytest.approx(shift, abs=0.1)
    after_hz = pitch_hz * 2 ** (shift / 12)
    assert measure.envelope_error_db(before[0], after[0], pitch_hz, after_hz) < 2.0


def test_each_clip_of_a_batch_has_its_own_pitch_shift(measure: Any) -> None:
    both = torch.cat([measure.voice(200.0), measure.voice(150.0)])
    after = shifted(both, torch.tensor([2.0, -1.5]))
    assert measure.semitones(after[0], 200.0, 2.0) == pytest.approx(2.0, abs=0.1)
    assert measure.semitones(after[1], 150.0, -1.5) == pytest.approx(-1.5, abs=0.1)


@pytest.mark.parametrize("duration", [0.9, 1.1])
def test_a_stretch_changes_the_duration_and_keeps_pitch_and_envelope(measure: Any, duration: float) -> None:
    before = measure.voice(180.0)
    after = time_stretch(before, RATE, torch.tensor([duration]))
    assert after.shape[1] == pytest.approx(before.shape[1] * duration, abs=2)
    assert measure.semitones(after[0], 180.0, 0.0) == pytest.approx(0.0, abs=0.02)
    assert measure.envelope_error_db(before[0], after[0], 180.0, 180.0) < 1.0
    early, late = after[0, 4000:8000].std(), after[0, -8000:-4000].std()
    assert float(early / late) == pytest.approx(1, abs=0.15)


def test_the_notes_of_a_stretched_melody_are_at_the_stretched_times(measure: Any) -> None:
    before = torch.cat([measure.voice(150.0, 1.0), measure.voice(250.0, 1.0)], dim=1)
    after = time_stretch(before, RATE, torch.tensor([1.25]))[0]
    assert measure.semitones(after[: round(1.15 * RATE)], 150.0, 0.0) == pytest.approx(0, abs=0.05)
    assert measure.semitones(after[round(1.35 * RATE) :], 250.0, 0.0) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("ratio", [0.87, 1.15])
def test_a_formant_shift_moves_the_envelope_and_keeps_the_pitch(measure: Any, ratio: float) -> None:
    before = measure.voice(130.0)
    after = formant_shift(before, RATE, torch.tensor([ratio]))
    assert measure.semitones(after[0], 130.0, 0.0) == pytest.approx(0.0, abs=0.02)
    moved = measure.envelope_error_db(before[0], after[0], 130.0, 130.0, ratio)
    assert moved < 2.0
    assert measure.envelope_error_db(before[0], after[0], 130.0, 130.0) > 2 * moved


@pytest.mark.parametrize("speed", [0.88, 1.14])
def test_a_faster_voice_is_higher_and_shorter(measure: Any, speed: float) -> None:
    after = play_at(measure.voice(180.0), torch.tensor([speed]))[0]
    assert measure.semitones(after, 180.0, 12 * math.log2(speed)) == pytest.approx(12 * math.log2(speed), abs=0.03)
    assert int((after.abs() > 1e-3).nonzero().max()) == pytest.approx(2 * RATE / speed, rel=0.005)
