"""The recipe's recordings: what is read, and that a crop is what it is said to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from encoder.config import Chance
from encoder.recipes.recordings import FULL_SCALE, RATE_HZ, Drawer, RecipeConfig, Recording, crop, read_recordings

QUIET = Chance(probability=0, low=0, high=0)


def tones(hz: float, seconds: float) -> np.ndarray:
    """A tone as the clean voice, an octave up as the separated one, two octaves up as the mix. -> (3, samples)."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (0.3 * FULL_SCALE * np.sin(2 * np.pi * np.array([[hz], [2 * hz], [4 * hz]]) * t)).astype(np.int16)


def peak_hz(wave: torch.Tensor) -> float:
    spectrum = torch.fft.rfft(wave * torch.hann_window(len(wave))).abs()
    return float(spectrum.argmax()) * RATE_HZ / len(wave)


def level_db(wave: torch.Tensor, hz: float) -> float:
    spectrum = torch.fft.rfft(wave * torch.hann_window(len(wave))).abs()
    return float(20 * torch.log10(spectrum[round(hz * len(wave) / RATE_HZ)]))


def write(folder: Path, name: str, samples: np.ndarray, rate: int = RATE_HZ) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.T, rate)


def drawer(**settings: object) -> Drawer:
    recordings = [Recording("a", f"{hz}", tones(hz, 4)) for hz in (200, 300, 400)]
    plain = {"crops": 3, "speeds": (1.0, 1.25), "residue": QUIET, "clean": 0.0, "leaking": 0.0}
    return Drawer(recordings, RecipeConfig.model_validate(plain | settings))


def test_set_and_singer_are_folders(tmp_path: Path) -> None:
    for name in ("karaoke/amy/01.flac", "karaoke/amy/01~2.flac", "speech/84/84.flac"):
        write(tmp_path, name, tones(200, 1))
    found = read_recordings(tmp_path)
    assert [(r.group, r.singer) for r in found] == [("karaoke", "amy"), ("karaoke", "amy"), ("speech", "84")]
    assert found[0].samples.shape == (3, RATE_HZ)


def test_another_rate_or_number_of_channels_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "speech/84/84.flac", tones(200, 1), rate=22050)
    with pytest.raises(ValueError, match="22050 Hz"):
        read_recordings(tmp_path)
    write(tmp_path, "speech/84/84.flac", tones(200, 1)[:2])
    with pytest.raises(ValueError, match="2 channels"):
        read_recordings(tmp_path)


def test_a_crop_has_voice_in_it() -> None:
    samples = np.concatenate([np.zeros((3, 20 * RATE_HZ), np.int16), tones(200, 5)], axis=1)
    rng = np.random.default_rng(0)
    silent = sum(not crop(samples, RATE_HZ, rng, tries=30).any() for _ in range(50))
    assert silent <= 5  # four of five places are silent


def test_a_short_recording_is_repeated() -> None:
    piece = crop(tones(200, 0.5), RATE_HZ, np.random.default_rng(0))
    np.testing.assert_array_equal(piece[:, : RATE_HZ // 2], piece[:, RATE_HZ // 2 :])


@pytest.mark.parametrize(("clean", "student"), [(0.0, 2), (1.0, 1)])
def test_student_and_teacher_hear_one_voice_at_one_speed(clean: float, student: int) -> None:
    source = drawer(clean=clean)
    for _ in range(4):
        crops = source.batch()
        assert crops.student.shape == crops.teacher.shape == (3, round(source.config.crop_s * RATE_HZ))
        for heard, taught, singer in zip(crops.student, crops.teacher, crops.singers.tolist(), strict=True):
            hz = (200, 300, 400)[singer // 2] * (1.0, 1.25)[singer % 2]
            assert peak_hz(heard) == pytest.approx(student * hz, rel=0.01)
            assert peak_hz(taught) == pytest.approx(hz, rel=0.01)


def test_some_of_the_mix_leaks_in() -> None:
    crops = drawer(leaking=1.0, leak=(0.2, 0.2), speeds=(1.0,)).batch()
    for wave, singer in zip(crops.student, crops.singers.tolist(), strict=True):
        hz = (200, 300, 400)[singer]
        assert level_db(wave, 2 * hz) - level_db(wave, 4 * hz) == pytest.approx(20 * np.log10(0.8 / 0.2), abs=0.5)


def test_residue_lies_under_the_voice_by_the_asked_ratio() -> None:
    recordings = [Recording("a", name, tones(200, 4)) for name in "xy"]
    residue = Chance(probability=1, low=20, high=20)
    config = RecipeConfig(crops=2, residue=residue, speeds=(1.0,), clean=1.0, leaking=0.0)
    wave = Drawer(recordings, config).batch().student[0]
    # Of the residue (the octave less the tone) one of two equal parts falls on 400 Hz: 3 dB less.
    assert level_db(wave, 200) - level_db(wave, 400) == pytest.approx(23, abs=1.5)


def test_sets_get_their_share() -> None:
    many = [Recording("many", str(i), tones(200, 1)) for i in range(9)]
    few = [Recording("few", "one", tones(200, 1)), Recording("few", "one", tones(200, 1))]
    weights = Drawer(many + few, RecipeConfig(shares={"few": 0.5, "many": 0.5})).weights
    assert weights[:9].sum() == pytest.approx(0.5)
    assert weights[9] == weights[10] == pytest.approx(0.25)


def test_same_seed_same_batches() -> None:
    torch.testing.assert_close(drawer().batch().student, drawer().batch().student, rtol=0, atol=0)


def test_one_recording_is_refused() -> None:
    with pytest.raises(ValueError, match="two recordings"):
        Drawer([Recording("a", "x", tones(200, 1))], RecipeConfig())
