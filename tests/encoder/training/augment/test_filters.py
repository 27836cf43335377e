"""Responses and noise in the frequency domain."""

from typing import Any

import numpy as np
import pytest
import torch

from encoder.training.augment import filters

RATE = 44100


def test_the_band_limit_is_3_db_down_at_its_edge_and_steep_beyond() -> None:
    hz = filters.frequencies(RATE, RATE, torch.device("cpu"))
    db = 20 * filters.band_limit(hz, torch.tensor([4000.0]))[0].log10()
    assert float(db[4000]) == pytest.approx(-3, abs=0.1)
    assert float(db[3000]) > -0.1
    assert float(db[6000]) < -40


def test_the_equaliser_goes_through_its_gains() -> None:
    hz = filters.frequencies(RATE, RATE, torch.device("cpu"))
    gains = torch.tensor([[6.0, -3.0, 0.0, 9.0]])
    db = 20 * filters.equaliser(hz, gains)[0].log10()
    octaves = np.log2(RATE / 2 / 60)
    for i in range(3):
        assert float(db[round(60 * 2 ** (octaves * i / 3))]) == pytest.approx(float(gains[0, i]), abs=0.1)
    assert float(db.max()) <= 9.01
    assert float(db.min()) >= -3.01


def test_reverberation_falls_by_60_db_in_its_time_and_keeps_the_energy() -> None:
    noise = torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))
    response = filters.impulse_responses(torch.tensor([0.5]), torch.tensor([3.0]), RATE, noise)[0]
    assert float(response.square().sum()) == pytest.approx(1, abs=1e-4)
    direct, tail = response[0].square(), response[1:].square().sum()
    assert float(10 * (direct / tail).log10()) == pytest.approx(3, abs=0.01)
    left = response.square().flip(0).cumsum(0).flip(0)[1:]
    decay = (10 * (left / left[0]).log10() > -30).sum() / RATE
    assert float(decay) == pytest.approx(0.25, abs=0.02)


def test_noise_has_the_given_level_and_slope(measure: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    wave = measure.voice(200.0)
    spectrum = torch.fft.rfft(wave, n=1 << 17)
    found = filters.noise(spectrum, torch.tensor([3.0]), torch.tensor([20.0]), generator)
    energy = [torch.view_as_real(x).square().sum() for x in (spectrum, found)]
    assert float(10 * (energy[0] / energy[1]).log10()) == pytest.approx(20, abs=0.5)
    power = found.abs().square()[0]
    octaves = [10 * power[1 << k : 2 << k].mean().log10() for k in range(8, 16)]
    assert float((octaves[0] - octaves[-1]) / 7) == pytest.approx(3, abs=0.2)
