"""Attention for 16-bit CPUs, head by head.

PyTorch's fused attention is no faster in bf16 than in fp32 on a CPU (162 ms for 8 heads of 2688 x 2688). One head at a
time, as three plain products that stay in the cache, it takes 66 ms in bf16, where attention is two fifths of the time
of HTDemucs.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class HeadwiseAttention(nn.Module):
    """An `nn.MultiheadAttention` for inference without masks, batch first, that computes one head at a time."""

    def __init__(self, attention: nn.MultiheadAttention):
        super().__init__()
        self.in_weight, self.in_bias = attention.in_proj_weight, attention.in_proj_bias
        self.out_proj, self.heads = attention.out_proj, attention.num_heads

    def forward(self, query: Tensor, key: Tensor, value: Tensor, **_: object) -> tuple[Tensor, None]:
        """Map queries (b, t, c), keys and values (b, s, c) to (b, t, c); demucs ignores the weights, which are None."""
        projections = zip((query, key, value), self.in_weight.chunk(3), self.in_bias.chunk(3), strict=True)
        # (b, heads, time, c / heads)
        q, k, v = (
            functional.linear(x, weight, bias).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for x, weight, bias in projections
        )
        q = q * q.shape[-1] ** -0.5
        out = torch.empty_like(q)
        for item, head in torch.cartesian_prod(torch.arange(len(q)), torch.arange(self.heads)).tolist():
            scores = torch.mm(q[item, head], k[item, head].T)
            out[item, head] = torch.mm(torch.softmax(scores, -1), v[item, head])
        return self.out_proj(out.transpose(1, 2).flatten(2)), None


def use_headwise_attention(network: nn.Module) -> None:
    """Replace every plain `nn.MultiheadAttention` of a network by a head-by-head one, in place."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.MultiheadAttention and child.batch_first and child.in_proj_bias is not None:
                setattr(module, name, HeadwiseAttention(child))
