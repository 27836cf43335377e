"""What several workers need from each other: embeddings gathered with their gradients, means over all ranks.

Every rank computes the same loss of the whole batch. The gradient that flows back into a rank's own rows is then
the sum over ranks of equal parts, which DDP's mean over ranks brings back to the gradient of one worker on the
whole batch.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(world_size())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        return total.chunk(world_size())[rank()]


def gather(x: Tensor) -> Tensor:
    """Rows of all ranks, rank by rank, differentiable. x: (n, …), n the same everywhere -> (ranks * n, …)."""
    if world_size() == 1:
        return x
    out: Tensor = _Gather.apply(x)
    return out


def mean_over_ranks(total: Tensor, count: Tensor) -> Tensor:
    """total / count over all ranks, its gradient exact once DDP has averaged the ranks' own. Both scalars."""
    everywhere = torch.stack([total.detach().float(), count.float()])
    if world_size() > 1:
        dist.all_reduce(everywhere)
    share = total * world_size() / everywhere[1].clamp(min=1)
    return share + (everywhere[0] / everywhere[1].clamp(min=1) - share.detach())


def any_rank(flag: bool, device: torch.device) -> bool:
    """Whether it is so on any rank."""
    total = torch.tensor(float(flag), device=device)
    if world_size() > 1:
        dist.all_reduce(total)
    return bool(total > 0)
