"""Demucs models give the vocals of the demucs API, and only the submodels that make vocals are loaded."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch
from demucs.api import Separator as DemucsApi

from pipeline.separators import load, separate_tracks

SOURCES = ["drums", "bass", "other", "vocals"]
RATE = 8000  # a fifth of the work
SEGMENT = int(RATE * Fraction(39, 20))


def music(n: int, seed: int = 0) -> torch.Tensor:
    """Return stereo noise with a slow swell, an offset, and channels that differ."""
    generator = torch.Generator().manual_seed(seed)
    return 0.2 * torch.randn(2, n, generator=generator) * torch.linspace(0.1, 1, n) + torch.tensor([[0.02], [0.05]])


@pytest.mark.parametrize(
    ("name", "n"),
    [
        ("plain", SEGMENT // 3),
        ("plain", SEGMENT),
        ("plain", SEGMENT + 1),
        ("plain", int(3.6 * SEGMENT)),
        ("ft", int(2.2 * SEGMENT)),
        ("weighted", int(1.9 * SEGMENT)),
        ("mixed", int(1.9 * SEGMENT)),
        ("ht1", 4000),
        ("time", 3 * RATE),
        ("hybrid", 3 * RATE),
    ],
)
def test_vocals_equal_those_of_the_demucs_api(repo: Path, name: str, n: int) -> None:
    wave = music(n)
    expected = DemucsApi(name, repo=repo, device="cpu", shifts=0).separate_tensor(wave)[1]["vocals"]
    vocals = load(str(repo / name), precision="fp32").separate(wave)
    assert vocals.shape == wave.shape
    assert expected.std() > 1e-3
    assert (vocals - expected).abs().max() < 1e-4


def test_of_a_bag_only_what_makes_vocals_is_loaded(repo: Path) -> None:
    separator = load(str(repo / "ft"))
    assert len(separator.parts) == 1
    assert separator.parts[0][0].sources == ["vocals"]
    assert len(load(str(repo / "weighted")).parts) == 2


@pytest.mark.parametrize("name", ["plain", "mixed"])
def test_tracks_in_one_stack_come_out_as_if_alone(repo: Path, name: str) -> None:
    separator = load(str(repo / name), precision="fp32", stack=4)
    waves = [music(n, seed) for seed, n in enumerate((SEGMENT // 4, int(2.6 * SEGMENT), 1, SEGMENT))]
    levels = [separator_level(wave) for wave in waves]
    calls = []
    run = separator.run
    separator.run = lambda stack, length: calls.append(len(stack)) or run(stack, length)
    out: dict[int, list[torch.Tensor]] = {i: [] for i in range(len(waves))}
    ended = []
    tracks = [(i, level, wave.split(3001, dim=1)) for i, (wave, level) in enumerate(zip(waves, levels, strict=True))]
    for piece in separate_tracks(separator, tracks):
        assert piece.error is None
        out[piece.key].append(piece.vocals) if piece.vocals is not None else ended.append(piece.key)
    assert ended == [0, 1, 2, 3]
    assert len(calls) < sum(calls)  # segments of several tracks were in one stack
    for i, wave in enumerate(waves):
        alone = load(str(repo / name), precision="fp32", stack=1).separate(wave)
        assert (torch.cat(out[i], 1) - alone).abs().max() < 1e-5


def separator_level(wave: torch.Tensor) -> object:
    """Measure a track in uneven blocks."""
    from pipeline.separators import Level

    level = Level.of(wave.split(997, dim=1))
    assert level.mean == pytest.approx(float(wave.mean(0).mean()), abs=1e-6)
    if wave.shape[1] > 1:
        assert level.std == pytest.approx(float(wave.mean(0).std()), rel=1e-5)
    return level


def test_bf16_is_close_to_fp32(repo: Path) -> None:
    wave = music(2 * SEGMENT)
    exact, near = (load(str(repo / "plain"), precision=precision).separate(wave) for precision in ("fp32", "bf16"))
    assert 10 * torch.log10(exact.square().sum() / (exact - near).square().sum()) > 35
