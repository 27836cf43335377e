"""Vocal separators, one protocol; `load` is the one way to get one."""

from pipeline.separators.base import (
    Level,
    Piece,
    Precision,
    Segment,
    Separator,
    Stream,
    separate_tracks,
)
from pipeline.separators.spleeter import Spleeter

__all__ = ["Level", "Piece", "Precision", "Segment", "Separator", "Stream", "load", "separate_tracks"]


def load(name: str, device: str = "cpu", precision: Precision = "auto", stack: int | None = None) -> Separator:
    """Return the separator of a name, on its device.

    Args:
        name: `spleeter`.
        precision: of the network; `auto` is 16 bit where the device computes in it.
        stack: segments per call of the network; None for what suits the device.
    """
    return Spleeter(device, precision, stack)
