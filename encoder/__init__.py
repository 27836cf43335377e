"""Vocatlas's singer-identity encoder: `encoder.load("default")`, then `model(wave, sample_rate_hz)`.

Names are imported on first use, so that a config that names an encoder does not load torch.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from encoder.checkpoint import load
    from encoder.config import EncoderConfig
    from encoder.model import Encoder

__all__ = ["DEFAULT", "Encoder", "EncoderConfig", "load"]
DEFAULT = Path(__file__).parent / "default"  # the folder of the encoder that ships
HOME = {"Encoder": "encoder.model", "EncoderConfig": "encoder.config", "load": "encoder.checkpoint"}


def __getattr__(name: str) -> Any:
    if name in HOME:
        return getattr(import_module(HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
