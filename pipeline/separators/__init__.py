"""Vocal separators, one protocol; `load` is the one way to get one."""

from pipeline.sections import Precision
from pipeline.separators.base import Level, Piece, Segment, Separator, Stream, best_device, separate_tracks, vocals_of
from pipeline.store.errors import ConfigError

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


def load(name: str, device: str = "cpu", precision: Precision = "auto", stack: int | None = None) -> Separator:
    """Return the separator of a name, on its device.

    Args:
        name: `spleeter` (embedded), a demucs name such as `htdemucs`, `hf://…`, or a folder of demucs models.
        precision: of the network; `auto` is 16 bit where the device computes in it.
        stack: segments per call of the network; None for what suits the device.

    Raises:
        ConfigError: there is no such model, or its weights cannot be had; the message says what to do.
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
    """Make sure that a separator's weights can be had, fetching them if need be, before anything is begun.

    Raises:
        ConfigError: they cannot; the message says what to do.
    """
    if name != "spleeter":
        load(name, precision="fp32")
