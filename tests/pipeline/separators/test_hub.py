"""Models from folders and hubs are told apart and checked, and no code in a file is ever run."""

import subprocess
from pathlib import Path

import pytest
import torch
from demucs.htdemucs import HTDemucs

from pipeline.separators import load
from pipeline.store.errors import ConfigError


def test_a_pickle_that_refers_to_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return subprocess.check_call, (["touch", str(tmp_path / "ran")],)

    torch.save({"klass": HTDemucs, "args": (), "kwargs": {}, "state": Evil()}, tmp_path / "evil.th")
    with pytest.raises(ConfigError, match="cannot be read|not a demucs model"):
        load(str(tmp_path / "evil"))
    assert not (tmp_path / "ran").exists()


def test_a_safetensors_model_may_name_demucs_classes_only(tmp_path: Path, make_htdemucs, save_model) -> None:
    from safetensors.torch import save_file

    model = make_htdemucs(0)
    kwargs = (
        '{"sources": ["drums", "bass", "other", "vocals"], "channels": 8, "t_layers": 2, "t_heads": 2, '
        '"bottom_channels": 16, '
        '"samplerate": 8000, "segment": {"_type": "fraction", "numerator": 39, "denominator": 20}}'
    )
    for klass, name in (("demucs.htdemucs.HTDemucs", "good"), ("subprocess.Popen", "bad")):
        save_file(
            model.state_dict(), tmp_path / f"{name}.safetensors", {"klass": klass, "args": "[]", "kwargs": kwargs}
        )
    wave = 0.2 * torch.randn(2, 15600, generator=torch.Generator().manual_seed(0))
    save_model(model, tmp_path / "th", "good")
    same = load(str(tmp_path / "th"), precision="fp32").separate(wave)
    assert torch.equal(load(str(tmp_path / "good"), precision="fp32").separate(wave), same)
    with pytest.raises(ConfigError, match=r"not a demucs model.*subprocess\.Popen"):
        load(str(tmp_path / "bad"))


def test_a_folder_without_exactly_one_model_is_refused(repo: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="several models"):
        load(str(repo))
    with pytest.raises(ConfigError, match="no demucs model"):
        load(str(tmp_path))
    with pytest.raises(ConfigError, match="should hold one file"):
        load(str(repo / "absent"))


def test_a_wrong_checksum_is_refused(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "ht0-deadbeef.th").write_bytes((repo / "ht0.th").read_bytes())
    with pytest.raises(ConfigError, match="checksum"):
        load(str(tmp_path))


def test_a_named_model_comes_from_store_weights(tmp_path: Path, make_htdemucs, save_model, monkeypatch) -> None:
    (tmp_path / "mine").mkdir()
    save_model(make_htdemucs(0), tmp_path / "mine" / "small", "ht0")
    (tmp_path / "mine" / "small" / "small.yaml").write_text("models: [ht0]")
    monkeypatch.setenv("VOCATLAS_WEIGHTS", str(tmp_path))
    assert load("hf://mine/small", precision="fp32").name == "hf://mine/small"  # wherever it comes from


def test_if_weights_cannot_be_reached_the_message_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for proxy in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    for name in ("htdemucs", "hf://someone/htdemucs"):
        with pytest.raises(ConfigError, match=r"huggingface\.co.*separate\.separator=/path.*separator=spleeter"):
            load(name)
    with pytest.raises(ConfigError, match="no model 'no-such-model'"):
        load("no-such-model")
