"""The CAM++ stem equals the published network (with its batch normalisation and names), and ignores padding."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from encoder.campplus import BLOCKS, CamPlusStem, context
from encoder.config import campplus
from encoder.model import Encoder
from encoder.published import from_campplus


class Named(nn.Module):
    """Submodules under given names."""

    def __init__(self, **modules: nn.Module) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)


def norm(channels: int, affine: bool = True) -> Named:
    return Named(batchnorm=nn.BatchNorm1d(channels, affine=affine))


def published_modules() -> Named:
    """The modules of 3D-Speaker's CAMPPlus(feat_dim=80, embedding_size=192), named as there."""
    layers = []
    for _ in range(2):
        down = Named(
            conv1=nn.Conv2d(32, 32, 3, stride=(2, 1), padding=1, bias=False),
            bn1=nn.BatchNorm2d(32),
            conv2=nn.Conv2d(32, 32, 3, padding=1, bias=False),
            bn2=nn.BatchNorm2d(32),
            shortcut=nn.Sequential(nn.Conv2d(32, 32, 1, stride=(2, 1), bias=False), nn.BatchNorm2d(32)),
        )
        keep = Named(
            conv1=nn.Conv2d(32, 32, 3, padding=1, bias=False),
            bn1=nn.BatchNorm2d(32),
            conv2=nn.Conv2d(32, 32, 3, padding=1, bias=False),
            bn2=nn.BatchNorm2d(32),
        )
        layers.append(nn.ModuleList([down, keep]))
    head = Named(
        conv1=nn.Conv2d(1, 32, 3, padding=1, bias=False),
        bn1=nn.BatchNorm2d(32),
        layer1=layers[0],
        layer2=layers[1],
        conv2=nn.Conv2d(32, 32, 3, stride=(2, 1), padding=1, bias=False),
        bn2=nn.BatchNorm2d(32),
    )
    parts: dict[str, nn.Module] = {
        "tdnn": Named(linear=nn.Conv1d(320, 128, 5, stride=2, padding=2, bias=False), nonlinear=norm(128))
    }
    channels = 128
    for b, (count, dilation) in enumerate(BLOCKS):
        dense = {}
        for i in range(count):
            cam = Named(
                linear_local=nn.Conv1d(128, 32, 3, padding=dilation, dilation=dilation, bias=False),
                linear1=nn.Conv1d(128, 64, 1),
                linear2=nn.Conv1d(64, 32, 1),
            )
            dense[f"tdnnd{i + 1}"] = Named(
                nonlinear1=norm(channels),
                linear1=nn.Conv1d(channels, 128, 1, bias=False),
                nonlinear2=norm(128),
                cam_layer=cam,
            )
            channels += 32
        parts[f"block{b + 1}"] = Named(**dense)
        transit = Named(nonlinear=norm(channels), linear=nn.Conv1d(channels, channels // 2, 1, bias=False))
        parts[f"transit{b + 1}"] = transit
        channels //= 2
    parts["out_nonlinear"] = norm(channels)
    parts["dense"] = Named(linear=nn.Conv1d(1024, 192, 1, bias=False), nonlinear=norm(192, affine=False))
    return Named(head=head, xvector=Named(**parts))


def published_forward(net: nn.Module, features: Tensor) -> Tensor:
    """Compute `published_modules` literally: features (batch, frames, 80) -> (batch, 512, frames / 2)."""
    at = net.get_submodule
    x = F.relu(at("head.bn1")(at("head.conv1")(features.transpose(1, 2)[:, None])))
    for name in ("head.layer1.0", "head.layer1.1", "head.layer2.0", "head.layer2.1"):
        y = F.relu(at(f"{name}.bn1")(at(f"{name}.conv1")(x)))
        y = at(f"{name}.bn2")(at(f"{name}.conv2")(y))
        x = F.relu(y + (at(f"{name}.shortcut")(x) if name.endswith("0") else x))
    x = F.relu(at("head.bn2")(at("head.conv2")(x))).flatten(1, 2)
    x = F.relu(at("xvector.tdnn.nonlinear.batchnorm")(at("xvector.tdnn.linear")(x)))
    for b, (count, _) in enumerate(BLOCKS):
        for i in range(count):
            name = f"xvector.block{b + 1}.tdnnd{i + 1}"
            y = at(f"{name}.linear1")(F.relu(at(f"{name}.nonlinear1.batchnorm")(x)))
            y = F.relu(at(f"{name}.nonlinear2.batchnorm")(y))
            segments = F.avg_pool1d(y, 100, 100, ceil_mode=True).repeat_interleave(100, -1)[..., : y.shape[-1]]
            mask = F.relu(at(f"{name}.cam_layer.linear1")(y.mean(-1, keepdim=True) + segments))
            mask = torch.sigmoid(at(f"{name}.cam_layer.linear2")(mask))
            x = torch.cat([x, at(f"{name}.cam_layer.linear_local")(y) * mask], 1)
        name = f"xvector.transit{b + 1}"
        x = at(f"{name}.linear")(F.relu(at(f"{name}.nonlinear.batchnorm")(x)))
    return F.relu(at("xvector.out_nonlinear.batchnorm")(x))


@pytest.fixture(scope="module")
def published() -> nn.Module:
    torch.manual_seed(0)
    net = published_modules()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            if module.affine:
                nn.init.uniform_(module.weight, 0.8, 1.6)
                nn.init.uniform_(module.bias, -0.2, 0.2)
    return net.eval()


@pytest.fixture(scope="module")
def encoder(published: nn.Module) -> Encoder:
    model = Encoder(campplus(layers=1)).eval()
    missing, unexpected = model.load_state_dict(from_campplus(published.state_dict()), strict=False)
    assert not unexpected
    assert all(name.startswith(("blocks.", "pool.")) for name in missing)
    return model


@torch.no_grad()
def test_trunk_equals_the_published_network(published: nn.Module, encoder: Encoder) -> None:
    features = torch.randn(2, 251, 80)
    theirs = published_forward(published, features)
    ours, n_frames = encoder.stem(features, torch.tensor([251, 251]))
    assert n_frames.tolist() == [126, 126]
    assert theirs.std() > 0.05
    torch.testing.assert_close(ours.transpose(1, 2), theirs, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_an_encoder_with_only_this_stem_equals_the_published_embedding(published: nn.Module, encoder: Encoder) -> None:
    features = torch.randn(1, 301, 80)
    x = published_forward(published, features)
    # The published network divides by n - 1; the relative difference at 151 frames is 0.3 %.
    pooled = torch.cat([x.mean(-1), x.std(-1, unbiased=False)], 1)[..., None]
    dense = published.get_submodule("xvector.dense")
    theirs = dense.get_submodule("nonlinear.batchnorm")(dense.get_submodule("linear")(pooled).squeeze(-1))
    ours = encoder.embed(*encoder.frames(features, torch.tensor([301])), features)
    torch.testing.assert_close(ours, F.normalize(theirs, dim=-1), rtol=0, atol=5e-4)


@torch.no_grad()
def test_padding_changes_nothing(encoder: Encoder) -> None:
    features = torch.randn(2, 430, 80)
    features[1, 203:] = 0
    together, n_frames = encoder.stem(features, torch.tensor([430, 203]))
    alone, n_alone = encoder.stem(features[1:, :203], torch.tensor([203]))
    assert n_frames[1] == n_alone[0] == 102
    torch.testing.assert_close(together[1:, :102], alone, rtol=1e-5, atol=1e-5)
    assert not together[1, 102:].any()


def test_context_is_clip_mean_plus_segment_mean() -> None:
    x = torch.zeros(2, 150, 1)
    x[0, :100], x[0, 100:120] = 1.0, 4.0
    x[0, 120:] = 9.0  # padding is ignored
    x[1] = 2.0
    heard = context(torch.tensor([120, 150]), 150) @ x
    # Another segment of nothing but padding may follow.
    expected = torch.tensor([[[1.5 + 1.0], [1.5 + 4.0]], [[2.0 + 2.0], [2.0 + 2.0]]])
    torch.testing.assert_close(heard[:, :2], expected)


def test_every_parameter_learns() -> None:
    stem = CamPlusStem()
    frames, _ = stem(torch.randn(2, 220, 80), torch.tensor([220, 150]))
    frames.square().mean().backward()
    assert [name for name, p in stem.named_parameters() if p.grad is None] == []
