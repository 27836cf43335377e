"""Stem, attention and pooling do what their definitions say."""

import pytest
import torch
import torch.nn.functional as F

from encoder.layers import PLAIN_FRAMES, AttentiveStatistics, Block, ConvStem, attention, rotary_angles, rotate


def test_the_stem_gives_every_fourth_frame_and_no_padding() -> None:
    torch.manual_seed(0)
    stem = ConvStem(n_mels=20, channels=8, width=16)
    features = torch.randn(2, 37, 20)
    features[1, 22:] = 0
    out, n_frames = stem(features, torch.tensor([37, 22]))
    assert out.shape == (2, 10, 16)
    assert n_frames.tolist() == [10, 6]
    assert out[1, 6:].abs().max() == 0
    alone, _ = stem(features[1:, :22], torch.tensor([22]))
    assert torch.allclose(out[1:, :6], alone, atol=1e-5)


def test_rotary_positions_make_products_depend_on_the_distance_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 1, 1, 8, generator=generator).expand(2, 1, 1, 12, 8)
    angles = rotary_angles(12, 4, like=q)
    products = rotate(q, angles)[0, 0] @ rotate(k, angles)[0, 0].T
    for distance in (0, 1, 5):
        along = products.diagonal(distance)
        assert torch.allclose(along, along[:1].expand_as(along), atol=1e-5)
    assert not torch.isclose(products[0, 1], products[0, 5])
    assert torch.allclose(rotate(q, angles).norm(dim=-1), q.norm(dim=-1), atol=1e-5)


@pytest.mark.parametrize("frames", [7, PLAIN_FRAMES + 1])
@pytest.mark.parametrize("padded", [False, True])
def test_attention_and_its_gradient_equal_those_of_torch(frames: int, padded: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 2, frames, 8, generator=generator).requires_grad_() for _ in range(3))
    mask = torch.arange(frames)[None, None, None] < torch.tensor([frames - 3, frames])[:, None, None, None]
    found = attention(q, k, v, mask if padded else None)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask if padded else None)
    assert torch.allclose(found, expected, atol=1e-5)
    weight = torch.randn(found.shape, generator=generator)
    gradients = (torch.autograd.grad((y * weight).sum(), (q, k, v)) for y in (found, expected))
    for ours, theirs in zip(*gradients, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_a_block_ignores_padding() -> None:
    torch.manual_seed(0)
    block = Block(width=16, heads=2, mlp_ratio=2.0, dropout=0.0)
    x = torch.randn(1, 9, 16)
    valid = torch.arange(9)[None] < 6
    padded = block(x, valid, rotary_angles(9, 4, like=x))
    alone = block(x[:, :6], None, rotary_angles(6, 4, like=x))
    assert torch.allclose(padded[:, :6], alone, atol=1e-5)


def test_pooling_starts_as_mean_and_deviation_and_follows_its_weights() -> None:
    torch.manual_seed(0)
    pool = AttentiveStatistics(width=4)
    torch.nn.init.zeros_(pool.score.weight)
    torch.nn.init.zeros_(pool.score.bias)
    x, valid, even = torch.randn(1, 10, 4), torch.arange(10)[None] < 7, torch.zeros(1, 10)
    real = x[0, :7]
    expected = torch.cat([real.mean(0), real.std(0, unbiased=False)])
    assert torch.allclose(pool(x, valid, even)[0], expected, atol=1e-5)
    torch.nn.init.normal_(pool.score.weight, std=5.0)
    mean = real.mean(0)
    context = torch.cat([mean, real.std(0, unbiased=False)]).expand(7, -1)
    score = pool.score(torch.tanh(pool.hidden(torch.cat([real, context], dim=1))))
    weights = score.softmax(0)
    weighted = (weights * real).sum(0)
    deviation = (weights * (real - weighted) ** 2).sum(0).sqrt()
    assert torch.allclose(pool(x, valid, even)[0], torch.cat([weighted, deviation]), atol=1e-4)
    assert not torch.allclose(weighted, mean, atol=1e-2)


def test_a_frame_counts_as_much_as_its_prior_says() -> None:
    torch.manual_seed(0)
    pool = AttentiveStatistics(width=4)
    torch.nn.init.zeros_(pool.score.bias)
    x = torch.randn(1, 3, 4)
    twice = torch.cat([x, x[:, :1]], dim=1)
    valid, even = torch.ones(1, 4, dtype=torch.bool), torch.zeros(1, 4)
    prior = torch.tensor([[2.0, 1.0, 1.0]]).log()
    assert torch.allclose(pool(x, valid[:, :3], prior), pool(twice, valid, even), atol=1e-5)


def test_dropout_acts_only_in_training() -> None:
    torch.manual_seed(0)
    block, plain = Block(width=16, heads=2, mlp_ratio=2.0, dropout=0.5), Block(16, 2, 2.0, dropout=0.0)
    plain.load_state_dict(block.state_dict())
    x, angles = torch.randn(1, 9, 16), rotary_angles(9, 4, like=torch.empty(0))
    expected = plain(x, None, angles)
    assert not torch.allclose(block.train()(x, None, angles), expected)
    assert torch.equal(block.eval()(x, None, angles), expected)
