"""Exported encoders give the vectors of the encoder itself."""

from pathlib import Path

import pytest
import torch

from encoder import Encoder, load
from encoder.config import EncoderConfig, FrontEndConfig
from encoder.export import TOLERANCE, export


@pytest.fixture(scope="module")
def model() -> Encoder:
    torch.manual_seed(0)
    front_end = FrontEndConfig(sample_rate_hz=16000, high_hz=8000)
    return Encoder(EncoderConfig(front_end=front_end, stem_channels=4, width=32, layers=1, heads=2, dim=16)).eval()


@pytest.mark.parametrize("kind", ["torchscript", "pt2", "onnx"])
def test_the_vectors_are_the_same(model: Encoder, tmp_path: Path, kind: str) -> None:
    if kind == "onnx":
        pytest.importorskip("onnxscript", reason="ONNX needs the `export` extra")
        pytest.importorskip("onnxruntime", reason="ONNX needs the `export` extra")
    assert export(model, tmp_path / "exported", kind) <= TOLERANCE
    assert (tmp_path / "exported").stat().st_size > 10000


@pytest.mark.parametrize("kind", ["torchscript", "onnx"])  # ONNX goes by way of pt2
def test_the_default_encoder_can_be_exported(tmp_path: Path, kind: str) -> None:
    if kind == "onnx":
        pytest.importorskip("onnxscript", reason="ONNX needs the `export` extra")
        pytest.importorskip("onnxruntime", reason="ONNX needs the `export` extra")
    default = load("default")
    assert isinstance(default, Encoder)
    assert export(default, tmp_path / "exported", kind) <= TOLERANCE


def test_torchscript_loads_back_as_an_encoder(model: Encoder, tmp_path: Path) -> None:
    export(model, tmp_path / "singers.pt", "torchscript")
    loaded = load(tmp_path / "singers.pt", sample_rate_hz=16000)
    wave = 0.1 * torch.randn(2, 32000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(loaded(wave, 16000), model(wave, 16000), atol=TOLERANCE)


def test_another_format_is_refused(model: Encoder, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pt2, torchscript, onnx"):
        export(model, tmp_path / "x", "pickle")
