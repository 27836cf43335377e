"""A checkpoint replaces the one before, and is read for the same configuration only."""

from pathlib import Path

import pytest
import torch

from encoder import Encoder
from encoder.config import preset
from encoder.training.state import STATE, finished, read, write

CPU = torch.device("cpu")


def test_a_checkpoint_replaces_the_one_before(tmp_path: Path) -> None:
    for step in (1, 2):
        write(tmp_path / "checkpoint", {"step": step, "config": {"seed": 0}})
    assert [path.name for path in (tmp_path / "checkpoint").iterdir()] == [STATE]
    assert read(tmp_path / "checkpoint", CPU, {"seed": 0})["step"] == 2
    with pytest.raises(ValueError, match=r"another configuration \(seed differ\)"):
        read(tmp_path / "checkpoint", CPU, {"seed": 1})


def test_the_finished_encoder_is_the_averaged_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = Encoder(preset("tiny")).eval()
    averaged = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    history = [{"step": 1.0, "loss": 2.0}]
    config = encoder.config.model_dump(mode="json")
    write(tmp_path, {"averaged": averaged | {"head": torch.ones(1)}, "encoder_config": config, "history": history})
    found, log = finished(tmp_path)
    assert log == history
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), encoder.parameters(), strict=True))
