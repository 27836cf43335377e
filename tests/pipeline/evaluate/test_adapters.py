import pytest
import torch

from pipeline.evaluate import adapters, baselines
from tests.pipeline.evaluate.test_baselines import check


def test_a_name_may_have_options():
    assert isinstance(adapters.load("mfcc"), baselines.Mfcc)
    assert adapters.load("default").encoder_id.startswith("custom-")


class Script(torch.nn.Module):
    """A published TorchScript encoder: waveform in, vector out."""

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        frames = wave[:, : wave.shape[1] // 400 * 400].reshape(wave.shape[0], -1, 400)
        return torch.fft.rfft(frames).abs().log1p().mean(1)


def test_any_torchscript_file_is_an_encoder(tmp_path):
    torch.jit.script(Script()).save(str(tmp_path / "model.ts"))
    adapter = adapters.load(f"{tmp_path / 'model.ts'}@16000")
    check(adapter)
    assert adapter.encoder_id.startswith("model-")


def test_a_missing_encoder_is_reported(tmp_path):
    with pytest.raises(baselines.Unavailable, match="cannot be loaded: no encoder at"):
        adapters.load(str(tmp_path))
