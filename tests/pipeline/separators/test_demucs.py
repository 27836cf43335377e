"""Demucs models: the vocals of the demucs API, from the submodels that make vocals, from any place, safely."""

import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
import torch
import yaml
from demucs.api import Separator as DemucsApi
from demucs.demucs import Demucs as TimeDemucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs

from pipeline.errors import ConfigError
from pipeline.separators import load, separate_tracks

SOURCES = ["drums", "bass", "other", "vocals"]
RATE = 8000  # a fifth of the work
SEGMENT = int(RATE * Fraction(39, 20))


def save(model: torch.nn.Module, folder: Path, signature: str) -> None:
    """Write a model as demucs writes those it publishes."""
    args, kwargs = model._init_args_kwargs
    folder.mkdir(exist_ok=True)
    torch.save({"klass": type(model), "args": args, "kwargs": kwargs, "state": model.state_dict(),
                "training_args": {}}, folder / f"{signature}.th")


def small_htdemucs(seed: int) -> HTDemucs:
    torch.manual_seed(seed)
    model = HTDemucs(SOURCES, channels=8, t_layers=2, t_heads=2, bottom_channels=16, samplerate=RATE,
                     segment=Fraction(39, 20))
    for scale in (module.scale for module in model.modules() if hasattr(module, "scale")):
        if isinstance(scale, torch.nn.Parameter):
            scale.data.fill_(0.5)  # untrained layers count for nothing otherwise
    return model


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models as demucs' --repo reads it: a bag like htdemucs, one like htdemucs_ft, mixed ones."""
    folder = tmp_path_factory.mktemp("repo")
    for i in range(4):
        save(small_htdemucs(i), folder, f"ht{i}")
    torch.manual_seed(9)
    save(HDemucs(SOURCES, channels=8, samplerate=RATE, segment=2), folder, "hybrid")
    save(TimeDemucs(SOURCES, channels=8, depth=3, samplerate=RATE, segment=2, lstm_layers=0), folder, "time")
    one_each = [[float(i == j) for j in range(4)] for i in range(4)]
    bags = {"plain": {"models": ["ht3"]}, "ft": {"models": ["ht0", "ht1", "ht2", "ht3"], "weights": one_each},
            "weighted": {"models": ["ht0", "ht1", "ht2"],
                         "weights": [[1, 1, 1, 0.25], [0, 0, 0, 0], [1, 1, 1, 1.5]]},
            "mixed": {"models": ["hybrid", "time"]}}
    for name, bag in bags.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(bag))
    return folder


def music(n: int, seed: int = 0) -> torch.Tensor:
    """Stereo noise with a slow swell, an offset, and channels that differ."""
    generator = torch.Generator().manual_seed(seed)
    return 0.2 * torch.randn(2, n, generator=generator) * torch.linspace(0.1, 1, n) + torch.tensor([[0.02], [0.05]])


@pytest.mark.parametrize(("name", "n"), [
    ("plain", SEGMENT // 3), ("plain", SEGMENT), ("plain", SEGMENT + 1), ("plain", int(3.6 * SEGMENT)),
    ("ft", int(2.2 * SEGMENT)), ("weighted", int(1.9 * SEGMENT)), ("mixed", int(1.9 * SEGMENT)), ("ht1", 4000),
    ("time", 3 * RATE), ("hybrid", 3 * RATE)])
def test_vocals_are_those_of_the_demucs_api(repo: Path, name: str, n: int) -> None:
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
def test_tracks_share_stacks_and_come_out_as_alone(repo: Path, name: str) -> None:
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
    assert len(calls) < sum(calls)  # segments of several tracks went together
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


def test_bf16_is_near_fp32(repo: Path) -> None:
    wave = music(2 * SEGMENT)
    exact, near = (load(str(repo / "plain"), precision=precision).separate(wave) for precision in ("fp32", "bf16"))
    assert 10 * torch.log10(exact.square().sum() / (exact - near).square().sum()) > 35


def test_a_pickle_that_names_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return subprocess.check_call, (["touch", str(tmp_path / "ran")],)

    torch.save({"klass": HTDemucs, "args": (), "kwargs": {}, "state": Evil()}, tmp_path / "evil.th")
    with pytest.raises(ConfigError, match="cannot be read|not a demucs model"):
        load(str(tmp_path / "evil"))
    assert not (tmp_path / "ran").exists()


def test_a_safetensors_model_may_name_demucs_classes_only(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    model = small_htdemucs(0)
    kwargs = '{"sources": ["drums", "bass", "other", "vocals"], "channels": 8, "t_layers": 2, "t_heads": 2, ' \
             '"bottom_channels": 16, ' \
             '"samplerate": 8000, "segment": {"_type": "fraction", "numerator": 39, "denominator": 20}}'
    for klass, name in (("demucs.htdemucs.HTDemucs", "good"), ("subprocess.Popen", "bad")):
        save_file(model.state_dict(), tmp_path / f"{name}.safetensors",
                  {"klass": klass, "args": "[]", "kwargs": kwargs})
    wave = music(SEGMENT)
    save(model, tmp_path / "th", "good")
    same = load(str(tmp_path / "th"), precision="fp32").separate(wave)
    assert torch.equal(load(str(tmp_path / "good"), precision="fp32").separate(wave), same)
    with pytest.raises(ConfigError, match=r"not a demucs model.*subprocess\.Popen"):
        load(str(tmp_path / "bad"))


def test_a_folder_must_hold_one_model_or_be_told_which(repo: Path, tmp_path: Path) -> None:
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


def test_unreachable_weights_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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
