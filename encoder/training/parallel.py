"""What several workers need from each other: embeddings gathered with their gradients, and means over all ranks.

Every rank computes the same loss of the whole batch. The gradient that reaches a rank's own rows is then the sum of
equal parts over the ranks, and DDP's mean over ranks turns it into the gradient of one worker on the whole batch.
"""

from __future__ import annotations

import warnings

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn import functional as differentiable

# torch 2.14 points from these to `_functional_collectives`, which is private and not in the torch 2.9 that is allowed.
warnings.filterwarnings(
    "ignore", message=r"torch\.distributed\.nn\.functional\.\w+ is deprecated", category=FutureWarning
)


def world_size() -> int:
    """Return the number of workers."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather(x: Tensor) -> Tensor:
    """Return the rows of all ranks, rank by rank, differentiable.

    Args:
        x: (n, …), n the same on every rank.

    Returns:
        (ranks * n, …).
    """
    return x if world_size() == 1 else torch.cat(differentiable.all_gather(x))


def mean_over_ranks(total: Tensor, count: Tensor) -> Tensor:
    """Return `total / count` of all ranks together, differentiable; both are scalars."""
    both = torch.stack([total.float(), count.float()])
    if world_size() > 1:
        both = differentiable.all_reduce(both)
    return both[0] / both[1].clamp(min=1)


def any_rank(flag: bool, device: torch.device) -> bool:
    """Return whether the flag is set on any rank."""
    total = torch.tensor(float(flag), device=device)
    if world_size() > 1:
        dist.all_reduce(total)
    return bool(total > 0)
