"""The steps after training: weights moved part of the way back, and whitening."""

from pathlib import Path

import torch

from encoder import Encoder
from encoder.config import campplus, preset
from encoder.training.config import ViewsConfig
from encoder.training.data import ClipShards
from encoder.training.finish import blend, head_outputs, whiten
from encoder.training.views import ViewDataset


def test_blending_moves_the_weights_part_of_the_way() -> None:
    start, end = Encoder(preset("tiny")), Encoder(preset("tiny"))
    before = {name: tensor.clone() for name, tensor in end.state_dict().items()}
    blend(start, end, 0.25)
    for name, tensor in end.state_dict().items():
        torch.testing.assert_close(tensor, 0.75 * start.state_dict()[name] + 0.25 * before[name])


def test_head_outputs_are_the_vectors_before_unit_norm(clips: Path) -> None:
    torch.manual_seed(0)
    encoder = Encoder(preset("tiny")).eval()
    views = ViewDataset(ClipShards.open(clips), ViewsConfig(crop_s=0.5), encoder.sample_rate_hz, 4, 0)
    outputs = head_outputs(encoder, views.loader(0, 2, 0))
    with torch.no_grad():
        vectors = encoder(views[1].waves, encoder.sample_rate_hz, views[1].lengths)
    assert outputs.shape == (16, encoder.dim)
    torch.testing.assert_close(torch.nn.functional.normalize(outputs[8:], dim=1), vectors, rtol=0, atol=1e-5)


def test_whitening_evens_out_the_directions_and_leaves_the_head_linear() -> None:
    torch.manual_seed(0)
    encoder = Encoder(campplus(layers=0)).eval()
    pooled = torch.randn(2000, 1024) * torch.linspace(0.1, 2.0, 1024) + 0.3
    with torch.no_grad():
        before = encoder.head(pooled)
        whiten(encoder, before, power=1.0)
        after = encoder.head(pooled)
    assert after.mean(0).abs().max() < 1e-3 * after.std()
    variances = [torch.linalg.eigvalsh(torch.cov(vectors.T)) for vectors in (before, after)]
    assert variances[1][-1] / variances[1][0] < 0.6 * variances[0][-1] / variances[0][0]


def test_without_power_whitening_only_centres() -> None:
    torch.manual_seed(0)
    encoder = Encoder(campplus(layers=0)).eval()
    pooled = torch.randn(50, 1024) + 0.5
    with torch.no_grad():
        before = encoder.head(pooled)
        whiten(encoder, before, power=0.0)
        after = encoder.head(pooled)
    centred = before - before.mean(0)
    products = torch.nn.functional.normalize(centred, dim=1) @ torch.nn.functional.normalize(centred, dim=1).T
    cosines = torch.nn.functional.normalize(after, dim=1) @ torch.nn.functional.normalize(after, dim=1).T
    torch.testing.assert_close(cosines, products, rtol=0, atol=1e-4)
