"""How near a network comes to what a processor can do: its multiplications and additions against a matrix product's.

A network cannot be faster than its arithmetic at the speed of a large matrix product in the same type, however it is
compiled (Williams et al. 2009, "Roofline").
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

SIDE = 1024  # of the square matrices: far more arithmetic than memory traffic
TURNS = 10
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}


def operations(work: Callable[[], Any]) -> int:
    """Return the floating-point operations of the matrix products and convolutions in a piece of work."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def peak(dtype: torch.dtype) -> float:
    """Return the operations a second of processor time of a product of large matrices; int8 counts as they do."""
    if dtype == torch.int8:
        one = torch.randint(-127, 127, (SIDE, SIDE), dtype=dtype)
        multiply: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = torch._int_mm
    else:
        one, multiply = torch.randn(SIDE, SIDE).to(dtype), torch.matmul
    fastest = float("inf")
    for _ in range(TURNS):
        began = time.process_time()
        multiply(one, one)
        fastest = min(fastest, time.process_time() - began)
    return 2 * SIDE**3 / fastest


def bounds(work: Callable[[], Any], audio_s: float) -> str:
    """Return in words how much audio a core could embed in a second at most, by type.

    Args:
        work: embeds `audio_s` seconds of audio.
        audio_s: seconds of audio.
    """
    each = operations(work) / audio_s
    speeds = {name: peak(dtype) for name, dtype in TYPES.items()}
    most = ", ".join(f"{s / each:.0f} in {name} ({s / 1e9:.0f} GFLOP/s)" for name, s in speeds.items())
    return (
        f"The network takes {each / 1e9:.2f} GFLOP for a second of audio. At the speed of large matrix products here, "
        f"seconds of audio per CPU s are at most {most}."
    )
