"""Fixtures that tests of several stages share."""

from pathlib import Path

import pytest
import torch

import encoder
from encoder import checkpoint
from encoder.config import preset


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an untrained encoder."""
    folder = tmp_path_factory.mktemp("encoders") / "tiny"
    torch.manual_seed(0)  # whatever ran before in this process
    checkpoint.save(encoder.Encoder(preset("tiny")).eval(), folder, {}, "untrained")
    return folder
