"""Vocal separators with one interface; `load` returns one by name.

Names are imported on first use, so that cutting clips does not load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipeline.sections import Precision
from pipeline.store.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.separators.base import (
        Level,
        Piece,
        Segment,
        Separator,
        Stream,
        best_device,
        separate_tracks,
        vocals_of,
    )

__all__ = [
    "Level",
    "Piece",
    "Precision",
    "Segment",
    "Separator",
    "Stream",
    "best_device",
    "check",
    "load",
    "separate_tracks",
    "vocals_of",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("pipeline.separators.base"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load(name: str, device: str = "cpu", precision: Precision = "auto", stack: int | None = None) -> "Separator":
    """Return the separator of that name, on its device.

    Args:
        name: `spleeter` (embedded), a demucs name such as `htdemucs`, `hf://…`, or a folder of demucs models.
        device: on which the network runs.
        precision: of the network; `auto` is 16 bit if the device computes in it.
        stack: segments per call of the network; None for a number that suits the device.

    Raises:
        ConfigError: the model is unknown, or its weights are not available; the message says what to do.
    """
    if name == "spleeter":
        from pipeline.separators.spleeter import Spleeter

        return Spleeter(device, precision, stack)
    from pipeline.separators.demucs import Demucs
    from pipeline.separators.hub import load_demucs

    try:
        return Demucs(name, load_demucs(name), device, precision, stack)
    except ValueError as error:
        raise ConfigError(f"separate.separator: {error}") from error


def check(name: str) -> None:
    """Make sure before any work begins that a separator's weights are available, and download them if necessary.

    Raises:
        ConfigError: they are not available; the message says what to do.
    """
    if name != "spleeter":
        load(name, precision="fp32")
