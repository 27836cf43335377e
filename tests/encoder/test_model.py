"""The encoder's call: padding, bad input, differentiability, presets."""

import pytest
import torch

from encoder import Encoder
from encoder.config import campplus, preset

RATE = 44100


@pytest.fixture(scope="module")
def tiny() -> Encoder:
    torch.manual_seed(0)
    encoder = Encoder(preset("tiny")).eval()
    # The pooling's attention starts uniform; it must vary here, or padding could make no difference.
    torch.nn.init.normal_(encoder.pool.score.weight, std=0.2)
    return encoder


def speech_like(batch: int, samples: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(batch, samples, generator=generator)
    envelope = 0.5 + 0.5 * torch.sin(torch.arange(samples) / 3000.0)
    return 0.1 * noise.cumsum(1).diff(prepend=torch.zeros(batch, 1)) * envelope


@pytest.mark.parametrize("rate", [44100, 16000, 22050])
def test_a_clip_embeds_the_same_alone_and_in_a_batch(tiny: Encoder, rate: int) -> None:
    wave = speech_like(3, 3 * rate)
    lengths = torch.tensor([3 * rate, 2 * rate - 17, rate // 2 + 1])
    with torch.no_grad():
        batch = tiny(wave, rate, lengths)
        alone = torch.cat([tiny(wave[i : i + 1, :n], rate) for i, n in enumerate(lengths)])
    assert torch.allclose(batch, alone, atol=1e-5)
    assert torch.allclose(batch.norm(dim=1), torch.ones(3), atol=1e-5)
    assert (batch[0] - batch[1]).abs().max() > 1e-4


def test_campplus_stem_is_invariant_to_padding() -> None:
    torch.manual_seed(0)
    encoder = Encoder(campplus(layers=1, loudness=0.5)).eval()
    for block in encoder.blocks:
        torch.nn.init.normal_(block.mlp_out.weight, std=0.05)
        torch.nn.init.normal_(block.attention_out.weight, std=0.05)
    wave = speech_like(2, 48000)
    lengths = torch.tensor([48000, 20011])
    with torch.no_grad():
        batch = encoder(wave, 16000, lengths)
        alone = encoder(wave[1:, :20011], 16000)
    assert torch.allclose(batch[1:], alone, atol=1e-5)


def test_loudness_does_not_matter(tiny: Encoder) -> None:
    wave = speech_like(1, RATE)
    with torch.no_grad():
        assert torch.allclose(tiny(wave, RATE), tiny(wave * 0.1, RATE), atol=1e-3)


def test_a_frame_is_weighted_by_its_level_in_the_voice_band() -> None:
    encoder, plain = Encoder(campplus(layers=0, loudness=0.5)).eval(), Encoder(campplus(layers=0)).eval()
    noise = 0.1 * torch.randn(1, 32000, generator=torch.Generator().manual_seed(0))
    wave = noise * torch.where(torch.arange(32000) < 16000, 1.0, 0.01)
    features, _ = encoder.features(wave, 16000, torch.tensor([32000]))
    prior = encoder.prior(features)
    assert prior.shape == (1, -(-features.shape[1] // encoder.stride))
    # 40 dB are a factor of 10^4 in power, its root is 100.
    assert (prior[0, :40].mean() - prior[0, -40:].mean()).exp() == pytest.approx(100, rel=0.1)
    assert not plain.prior(features).any()
    # Bands outside the telephone's do not count.
    features[..., : encoder.front_end.voice_bands.start] += 9.0
    assert torch.equal(encoder.prior(features), prior)


def test_silence_gives_a_finite_unit_vector(tiny: Encoder) -> None:
    silent = torch.zeros(2, RATE)
    silent[1, : RATE // 2] = speech_like(1, RATE // 2)[0]
    with torch.no_grad():
        vectors = tiny(silent, RATE)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(2), atol=1e-5)


@pytest.mark.parametrize(
    ("wave", "rate", "lengths", "message"),
    [
        (torch.zeros(RATE), RATE, None, "batch, samples"),
        (torch.zeros(0, RATE), RATE, None, "one clip or more"),
        (torch.zeros(1, RATE, dtype=torch.int16), RATE, None, "floating point"),
        (torch.full((1, RATE), torch.nan), RATE, None, "NaN"),
        (torch.zeros(1, RATE // 100), RATE, None, "0.010 s is shorter"),
        (torch.zeros(1, 100000), 1, None, "sample_rate_hz 1 is out of"),
        (torch.zeros(2, RATE), RATE, torch.tensor([RATE]), "lengths must be"),
        (torch.zeros(1, RATE), RATE, torch.tensor([RATE + 1]), "exceeds"),
    ],
)
def test_bad_input_is_refused_with_a_clear_message(
    tiny: Encoder, wave: torch.Tensor, rate: int, lengths: torch.Tensor | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(wave, rate, lengths)


def test_the_vector_is_differentiable_with_respect_to_the_wave(tiny: Encoder) -> None:
    wave = speech_like(1, 16000).requires_grad_()
    tiny(wave, 16000)[0, 0].backward()
    assert wave.grad is not None
    assert torch.isfinite(wave.grad).all()
    assert wave.grad.abs().sum() > 0


def test_presets_have_the_sizes_they_promise() -> None:
    sizes = {name: sum(p.numel() for p in Encoder(preset(name)).parameters()) / 1e6 for name in ("tiny", "small")}
    assert sizes["tiny"] < 0.5
    assert 2 <= sizes["small"] <= 8
