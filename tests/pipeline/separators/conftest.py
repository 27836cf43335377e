"""Small untrained demucs models on disk, as demucs reads them."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
import torch
import yaml
from demucs.demucs import Demucs as TimeDemucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs

SOURCES = ["drums", "bass", "other", "vocals"]
RATE = 8000  # a fifth of the work


def save(model: torch.nn.Module, folder: Path, signature: str) -> None:
    """Write a model as demucs writes those it publishes."""
    args, kwargs = model._init_args_kwargs
    folder.mkdir(exist_ok=True)
    torch.save(
        {"klass": type(model), "args": args, "kwargs": kwargs, "state": model.state_dict(), "training_args": {}},
        folder / f"{signature}.th",
    )


def small_htdemucs(seed: int) -> HTDemucs:
    torch.manual_seed(seed)
    model = HTDemucs(
        SOURCES, channels=8, t_layers=2, t_heads=2, bottom_channels=16, samplerate=RATE, segment=Fraction(39, 20)
    )
    for scale in (module.scale for module in model.modules() if hasattr(module, "scale")):
        if isinstance(scale, torch.nn.Parameter):
            scale.data.fill_(0.5)  # otherwise untrained layers would contribute nothing
    return model


@pytest.fixture(scope="session")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of models as demucs' --repo reads it: bags like htdemucs and htdemucs_ft, and mixed ones."""
    folder = tmp_path_factory.mktemp("repo")
    for i in range(4):
        save(small_htdemucs(i), folder, f"ht{i}")
    torch.manual_seed(9)
    save(HDemucs(SOURCES, channels=8, samplerate=RATE, segment=2), folder, "hybrid")
    save(TimeDemucs(SOURCES, channels=8, depth=3, samplerate=RATE, segment=2, lstm_layers=0), folder, "time")
    one_each = [[float(i == j) for j in range(4)] for i in range(4)]
    bags = {
        "plain": {"models": ["ht3"]},
        "ft": {"models": ["ht0", "ht1", "ht2", "ht3"], "weights": one_each},
        "weighted": {"models": ["ht0", "ht1", "ht2"], "weights": [[1, 1, 1, 0.25], [0, 0, 0, 0], [1, 1, 1, 1.5]]},
        "mixed": {"models": ["hybrid", "time"]},
    }
    for name, bag in bags.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(bag))
    return folder


@pytest.fixture
def make_htdemucs() -> Callable[[int], HTDemucs]:
    """Return the function from a seed to a small untrained model."""
    return small_htdemucs


@pytest.fixture
def save_model() -> Callable[[torch.nn.Module, Path, str], None]:
    """Return the function that writes a model under a signature."""
    return save
