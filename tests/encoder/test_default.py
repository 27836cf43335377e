"""The shipped weights load, match their card, and tell singers apart that they were not trained on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

import encoder
from encoder import DEFAULT
from encoder.model import Encoder
from encoder.training.validation import trials_error_rate

RATE_HZ = 16000


@pytest.fixture(scope="module")
def model() -> Encoder:
    loaded = encoder.load("default")
    assert isinstance(loaded, Encoder)
    return loaded


@pytest.fixture(scope="module")
def metrics() -> dict[str, object]:
    found: dict[str, object] = json.loads((DEFAULT / "metrics.json").read_text())
    return found


def vowel(f0_hz: float, formants_hz: tuple[float, ...], seconds: float = 3.0) -> Tensor:
    """Return harmonics under formant resonances, with vibrato, over a little noise: (1, samples)."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * (f0_hz * t + f0_hz * 0.02 / (2 * np.pi * 5.5) * np.sin(2 * np.pi * 5.5 * t))
    wave = np.zeros_like(t)
    for k in range(1, int(7600 / f0_hz)):
        gain = sum(1 / (1 + ((k * f0_hz - f) / 90) ** 2) for f in formants_hz)
        wave += gain / k**0.5 * np.sin(k * phase)
    wave = 0.3 * wave / np.abs(wave).max() + 0.002 * np.random.default_rng(0).standard_normal(len(t))
    return torch.from_numpy(wave).float()[None]


def test_the_card_and_the_metrics_name_this_model(model: Encoder, metrics: dict[str, object]) -> None:
    assert metrics["encoder_id"] == model.encoder_id
    assert model.encoder_id in (DEFAULT / "README.md").read_text()
    assert model.dim == 192


def test_it_is_small_enough_to_ship() -> None:
    assert sum(path.stat().st_size for path in DEFAULT.iterdir()) < 32e6


@torch.no_grad()
def test_a_voice_is_more_similar_to_itself_than_to_another(model: Encoder) -> None:
    low, high = (560.0, 950.0, 2300.0, 2900.0), (850.0, 1500.0, 3300.0, 4200.0)
    first, again, other = (
        model(vowel(f0_hz, formants), RATE_HZ)[0] for f0_hz, formants in ((150, low), (170, low), (230, high))
    )
    assert first @ again > first @ other + 0.1


@torch.no_grad()
def test_a_gain_changes_nothing(model: Encoder) -> None:
    wave = vowel(150, (560, 950, 2300, 2900))
    assert (model(wave, RATE_HZ) * model(0.25 * wave, RATE_HZ)).sum() > 0.999


@torch.no_grad()
def test_it_tells_singers_apart_that_it_was_not_trained_on(
    model: Encoder, metrics: dict[str, object], shared_audio: Path
) -> None:
    vectors, singers, songs = [], [], []
    held_out = metrics["held_out_singers"]
    assert isinstance(held_out, list)
    for singer in held_out:
        for path in sorted((shared_audio / "karaoke" / singer).glob("*.ogg"))[:4]:
            voice, rate = soundfile.read(path, dtype="float32", always_2d=True)
            assert rate == RATE_HZ
            clips = voice[8 * rate : 20 * rate, 1].reshape(3, -1)
            vectors.append(model(torch.from_numpy(clips.copy()), rate))
            singers += [singer] * len(clips)
            songs += [str(path)] * len(clips)
    assert trials_error_rate(torch.cat(vectors), singers, songs) < 0.10
