"""The log-mel layer equals Kaldi's, and its frames do not depend on padding."""

import math
from typing import Literal

import pytest
import torch
import torchaudio

from encoder.config import KALDI_16K, FrontEndConfig
from encoder.frontend import FrontEnd, resample


def test_it_equals_kaldis_filter_bank() -> None:
    generator = torch.Generator().manual_seed(0)
    wave = 0.1 * torch.randn(1, 16000, generator=generator) + 0.05
    expected = torchaudio.compliance.kaldi.fbank(wave, num_mel_bins=80, sample_frequency=16000, dither=0.0)
    expected = expected - expected.mean(0)
    features, n_frames = FrontEnd(KALDI_16K)(wave, torch.tensor([16000]))
    assert features[0].shape == expected.shape
    assert int(n_frames) == len(expected)
    assert torch.allclose(features[0], expected, atol=2e-3)


def test_the_voice_bands_have_their_centres_in_the_telephone_band() -> None:
    bands = FrontEnd(KALDI_16K).voice_bands
    mel = lambda hz: 1127 * math.log(1 + hz / 700)  # noqa: E731
    step = (mel(8000) - mel(20)) / 81
    centres = [700 * (math.exp((mel(20) + step * (i + 1)) / 1127) - 1) for i in (bands.start, bands.stop - 1)]
    assert 300 <= centres[0] < 350 < 3250 < centres[1] <= 3400


def test_mel_bands_that_miss_the_telephone_band_are_refused() -> None:
    with pytest.raises(ValueError, match="none of 20 mel bands is centred within 300–3400 Hz"):
        FrontEnd(FrontEndConfig(n_mels=20, low_hz=4000))


def test_padding_changes_no_frame_and_becomes_zero() -> None:
    front_end = FrontEnd(FrontEndConfig())
    wave = torch.randn(1, 44100, generator=torch.Generator().manual_seed(0))
    alone, n_alone = front_end(wave[:, :30000], torch.tensor([30000]))
    padded, n_padded = front_end(wave * (torch.arange(44100) < 30000), torch.tensor([30000]))
    assert n_alone == n_padded
    n = int(n_padded)
    assert torch.allclose(alone[:, :n], padded[:, :n], atol=1e-5)
    assert padded[:, n:].abs().max() == 0


@pytest.mark.parametrize("normalise", ["mean", "mean_std", "level"])
def test_normalisation_is_per_clip(normalise: Literal["mean", "mean_std", "level"]) -> None:
    front_end = FrontEnd(FrontEndConfig(normalise=normalise))
    wave = torch.randn(1, 44100, generator=torch.Generator().manual_seed(0))
    features, _ = front_end(torch.cat([wave, 0.01 * wave]), torch.tensor([44100, 44100]))
    assert torch.allclose(features[0], features[1], atol=1e-3)
    assert features.mean((1, 2)).abs().max() < 1e-4
    if normalise != "mean":
        assert torch.allclose(features.square().mean((1, 2)), torch.ones(2), atol=1e-2)
    # White noise rises with frequency on a mel scale; only `level` keeps that.
    colour = features.mean(1).abs().max()
    assert (colour > 0.5) if normalise == "level" else (colour < 1e-4)


def test_resampling_keeps_a_tone_and_its_length() -> None:
    time = torch.arange(16000) / 16000
    wave, lengths = resample(torch.sin(2 * torch.pi * 440 * time)[None], torch.tensor([16000]), 16000, 44100)
    assert wave.shape == (1, 44100)
    assert int(lengths) == 44100
    expected = torch.sin(2 * torch.pi * 440 * torch.arange(44100) / 44100)
    assert torch.allclose(wave[0, 1000:-1000], expected[1000:-1000], atol=2e-3)


def test_a_filter_made_for_inference_serves_training_too() -> None:
    wave, lengths = torch.randn(1, 11025), torch.tensor([11025])
    with torch.inference_mode():
        expected, _ = resample(wave, lengths, 11025, 8000)
    sound = wave.clone().requires_grad_()
    found, _ = resample(sound, lengths, 11025, 8000)
    found.sum().backward()
    assert torch.equal(found, expected)
    assert sound.grad is not None


def test_half_precision_does_not_reach_the_resampler() -> None:
    wave, lengths = torch.randn(1, 8000), torch.tensor([8000])
    expected, _ = resample(wave, lengths, 16000, 8000)
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = resample(wave, lengths, 16000, 8000)
    assert torch.equal(found, expected)
