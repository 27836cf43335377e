"""Spleeter: its networks are as published, the right one gives the vocals, and blocks leave no seams."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from pipeline.demo.mix import Recording, perform
from pipeline.demo.singer import draw_singers
from pipeline.separators import load, separate_tracks, spleeter

RATE = 44100


@pytest.fixture(scope="module")
def separator():
    return load("spleeter", precision="fp32")


@pytest.fixture(scope="module")
def recording() -> Recording:
    generator = np.random.default_rng(5)
    return perform(draw_singers(["ann"], generator), 14.0, "keys", RATE, generator)


def noise(n: int, channels: int = 2) -> torch.Tensor:
    return 0.1 * torch.randn(channels, n, generator=torch.Generator().manual_seed(1))


def agreement_db(expected: torch.Tensor, got: torch.Tensor) -> float:
    return float(10 * torch.log10(expected.square().sum() / (expected - got).square().sum().clamp(min=1e-20)))


def test_the_subpixel_convolution_equals_the_cropped_transposed_one():
    torch.manual_seed(0)
    transposed = nn.ConvTranspose2d(3, 4, kernel_size=5, stride=2)
    x = torch.randn(2, 3, 6, 5)
    expected = transposed(x)[:, :, 1:-2, 1:-2]
    assert torch.allclose(spleeter.SubPixel(transposed)(x), expected, atol=1e-6)


@pytest.mark.parametrize("name", [spleeter.VOCALS, spleeter.ACCOMPANIMENT])
def test_networks_compute_the_same_as_the_published_ones(name):
    fast, published = spleeter.load_unet(name), spleeter.load_published(name)
    magnitude = 10 * torch.rand(1, 2, 128, 1024, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(fast(magnitude), published(magnitude), atol=1e-4)


def test_vocals_contain_the_singer_and_not_the_accompaniment(separator, recording):
    def si_sdr_db(estimate: np.ndarray, truth: np.ndarray) -> float:
        target = truth * (estimate @ truth) / (truth @ truth)
        return float(10 * np.log10((target @ target) / np.sum((estimate - target) ** 2)))

    truth, mix = recording.vocals.mean(0), recording.mix.mean(0)
    vocals = separator.separate(torch.from_numpy(recording.mix)).mean(0).numpy()
    assert si_sdr_db(vocals, truth) > si_sdr_db(mix, truth) + 3


@pytest.mark.parametrize(("precision", "at_least_db"), [("fp32", 90), ("bf16", 60)])
def test_blocks_leave_no_seams(precision, at_least_db, recording, monkeypatch):
    separator = load("spleeter", precision=precision)
    wave = torch.from_numpy(recording.mix)[:, : 14 * RATE + 77]
    monkeypatch.setattr(spleeter, "FRAMES", 10**6)
    whole = separator.separate(wave)
    monkeypatch.setattr(spleeter, "FRAMES", 2 * spleeter.CONTEXT + 64)  # a seam every 1.5 s
    blocks = [
        piece.vocals
        for piece in separate_tracks(separator, [("a", None, wave.split(9999, dim=1))])
        if piece.vocals is not None
    ]
    assert len(blocks) > 1
    assert agreement_db(whole, torch.cat(blocks, dim=1)) > at_least_db


@pytest.mark.parametrize("n", [1, 1023, 1024, 4096, 64 * 1024 - 2048, 64 * 1024 - 2047, 64 * 1024])
def test_vocals_are_as_long_as_the_mix_at_any_length(separator, n):
    vocals = separator.separate(noise(n))
    assert vocals.shape == (2, n)
    assert vocals.isfinite().all()


def test_an_empty_mix_gives_empty_vocals(separator):
    assert separator.separate(torch.zeros(2, 0)).shape == (2, 0)
    assert separator.separate(torch.zeros(2, 20000)).abs().max() == 0


def test_the_ends_are_separated_too(separator):
    wave = 0.3 * functional.pad(noise(1500), (0, 30000)) + functional.pad(noise(1500), (30000, 0))
    windows = separator.run(functional.pad(wave, (0, 64 * 1024 - wave.shape[1]))[None], 0)[0]
    assert agreement_db(windows[:, : wave.shape[1]], separator.separate(wave)) > 100


def test_tracks_in_one_call_come_out_as_if_alone(recording):
    separator = load("spleeter", precision="fp32", stack=3)
    wave = torch.from_numpy(recording.mix)[:, : 60 * 1024]
    tracks = {"a": wave[:, :50000], "b": wave[:, 5000:55000], "c": wave[:, :40000], "d": wave[:, :9000]}
    out = {key: [] for key in tracks}
    for piece in separate_tracks(separator, [(key, None, [track]) for key, track in tracks.items()]):
        if piece.vocals is not None:
            out[piece.key].append(piece.vocals)
    for key, track in tracks.items():
        assert agreement_db(separator.separate(track), torch.cat(out[key], dim=1)) > 100
