import torch
from torch import nn

from pipeline.separators.attention import HeadwiseAttention, use_headwise_attention


def test_it_equals_the_attention_of_torch():
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(24, 4, batch_first=True).eval()
    nn.init.normal_(attention.in_proj_bias)
    query, key = torch.randn(2, 9, 24), torch.randn(2, 13, 24)
    with torch.inference_mode():
        expected, _ = attention(query, key, key, need_weights=False)
        got, weights = HeadwiseAttention(attention)(query, key, key, attn_mask=None, need_weights=False)
    assert torch.allclose(got, expected, atol=1e-6)
    assert weights is None


def test_it_replaces_only_attention_that_it_can_compute():
    network = nn.ModuleDict(
        {
            "yes": nn.MultiheadAttention(8, 2, batch_first=True),
            "time_first": nn.MultiheadAttention(8, 2),
            "no_bias": nn.MultiheadAttention(8, 2, bias=False, batch_first=True),
        }
    )
    use_headwise_attention(network)
    assert [type(child) is HeadwiseAttention for child in network.values()] == [True, False, False]
