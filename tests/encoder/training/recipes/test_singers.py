"""The recipe's data: what is read, and that a crop is what it is said to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from encoder.config import Chance
from encoder.training.recipes.singers import RATE_HZ, RecipeConfig, Singer, Views, crop, read_singers


def tone(hz: float, seconds: float) -> np.ndarray:
    """Clean tone in the first channel, the same an octave up in the second. -> (2, samples)."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (0.3 * np.sin(2 * np.pi * np.array([[hz], [2 * hz]]) * t)).astype(np.float32)


def peak_hz(wave: torch.Tensor) -> float:
    spectrum = torch.fft.rfft(wave * torch.hann_window(len(wave))).abs()
    return float(spectrum.argmax()) * RATE_HZ / len(wave)


def write(folder: Path, name: str, samples: np.ndarray, rate: int = RATE_HZ) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.T, rate)


def test_mixes_of_a_song_belong_together(tmp_path: Path) -> None:
    for name in ("karaoke/amy/01.flac", "karaoke/amy/01~2.flac", "karaoke/amy/02.flac", "speech/84/84.flac"):
        write(tmp_path, name, tone(200, 1))
    singers = read_singers(tmp_path)
    assert [(s.group, s.name, {k: len(v) for k, v in s.songs.items()}) for s in singers] == [
        ("karaoke", "amy", {"01": 2, "02": 1}),
        ("speech", "84", {"84": 1}),
    ]
    assert singers[0].songs["01"][0].shape == (2, RATE_HZ)


def test_another_rate_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "speech/84/84.flac", tone(200, 1), rate=22050)
    with pytest.raises(ValueError, match="22050 Hz"):
        read_singers(tmp_path)


def test_a_crop_has_voice_in_it() -> None:
    samples = np.concatenate([np.zeros((2, 20 * RATE_HZ), np.float32), tone(200, 5)], axis=1)
    rng = np.random.default_rng(0)
    silent = sum(not crop(samples, RATE_HZ, rng, tries=30).any() for _ in range(50))
    assert silent <= 5  # four of five places are silent


def test_a_short_recording_is_repeated() -> None:
    piece = crop(tone(200, 0.5), RATE_HZ, np.random.default_rng(0))
    np.testing.assert_array_equal(piece[:, : RATE_HZ // 2], piece[:, RATE_HZ // 2 :])


@pytest.fixture
def views() -> Views:
    singers = [Singer("a", f"{hz}", {"1": [tone(hz, 4)], "2": [tone(hz, 4)]}) for hz in (200, 300, 400)]
    config = RecipeConfig(singers=3, speeds=(1.0, 1.25), clean=1.0, residue=Chance(probability=0))
    return Views(singers, config)


def test_a_batch_holds_separated_then_clean_at_the_speed_of_the_identity(views: Views) -> None:
    for _ in range(4):
        waves, identities = views.batch()
        assert waves.shape == (6, round(views.config.crop_s * RATE_HZ))
        for row, identity in enumerate(identities.tolist()):
            hz = (200, 300, 400)[identity // 2] * (1.0, 1.25)[identity % 2]
            assert peak_hz(waves[row]) == pytest.approx(2 * hz, rel=0.01)
            assert peak_hz(waves[3 + row]) == pytest.approx(hz, rel=0.01)


def test_the_teacher_hears_the_clean_voice(views: Views) -> None:
    crops = views.clean_crops(3)
    assert crops.shape == (1, round(views.config.teacher_crop_s * RATE_HZ))
    assert peak_hz(crops[0, : RATE_HZ * 3]) == pytest.approx(300 * 1.25, rel=0.01)


def test_residue_lies_under_the_voice_by_the_asked_ratio() -> None:
    singers = [Singer("a", "1", {"1": [tone(200, 4)]})]
    config = RecipeConfig(residue=Chance(probability=1, low=20, high=20), speeds=(1.0,))
    wave = Views(singers, config).voice(0, "1", 1.0, clean=True)
    spectrum = torch.fft.rfft(wave * torch.hann_window(len(wave))).abs()
    bins = [round(hz * len(wave) / RATE_HZ) for hz in (200, 400)]
    # Of the residue (the octave less the tone) one of two equal parts falls on 400 Hz: 3 dB less.
    assert 20 * torch.log10(spectrum[bins[0]] / spectrum[bins[1]]) == pytest.approx(23, abs=1.5)


def test_same_seed_same_batches(views: Views) -> None:
    again = Views(views.singers, views.config)
    torch.testing.assert_close(views.batch()[0], again.batch()[0], rtol=0, atol=0)
