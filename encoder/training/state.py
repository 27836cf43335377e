"""Checkpoints of a training: one file of tensors and plain values, replaced at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from encoder.config import EncoderConfig
from encoder.model import Encoder

STATE = "state.pt"


def write(folder: Path, state: Mapping[str, Any]) -> Path:
    """Write a checkpoint into a folder, replacing the one there, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state), folder / f".{STATE}")
    (folder / f".{STATE}").replace(folder / STATE)
    return folder


def read(folder: str | Path, device: torch.device, config: Mapping[str, object]) -> dict[str, Any]:
    """Read a checkpoint.

    Args:
        folder: that `write` wrote to.
        device: to load the tensors to.
        config: content of the configuration that training continues with.

    Raises:
        ValueError: the checkpoint has another configuration.
    """
    state: dict[str, Any] = torch.load(Path(folder) / STATE, map_location=device, weights_only=True)
    changed = [key for key, value in config.items() if state["config"].get(key) != value]
    if changed:
        raise ValueError(f"the checkpoint in {folder} is of another configuration ({', '.join(changed)} differ)")
    return state


def finished(folder: str | Path) -> tuple[Encoder, list[dict[str, float]]]:
    """Return the averaged encoder of a checkpoint, and the log that led to it."""
    state: dict[str, Any] = torch.load(Path(folder) / STATE, map_location="cpu", weights_only=True)
    encoder = Encoder(EncoderConfig.model_validate(state["encoder_config"]))
    prefix = "encoder."
    weights = {k.removeprefix(prefix): v for k, v in state["averaged"].items() if k.startswith(prefix)}
    encoder.load_state_dict(weights)
    return encoder.eval(), state["history"]
