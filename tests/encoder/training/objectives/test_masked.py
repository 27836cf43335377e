"""The masked terms equal their formulas, written out in loops."""

import math

import pytest
import torch
import torch.nn.functional as F

from encoder.training.objectives import masked


def test_codes_are_the_nearest_in_angle() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 7, 3, generator=generator)
    projection = torch.randn(6, 4, generator=generator)
    codebook = F.normalize(torch.randn(10, 4, generator=generator), dim=1)
    found = masked.quantise(features, 2, projection, codebook)
    assert found.shape == (2, 4)
    for clip in range(2):
        for place in range(3):
            stack = torch.cat([features[clip, 2 * place], features[clip, 2 * place + 1]]) @ projection
            stack = stack / stack.norm()
            distances = [float((stack - code).norm()) for code in codebook]
            assert int(found[clip, place]) == distances.index(min(distances))


def test_masked_prediction_counts_masked_frames_only() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 5, generator=generator)
    codes = torch.randint(5, (2, 4), generator=generator)
    mask = torch.tensor([[True, False, False, True], [False, False, True, False]])
    loss, count = masked.masked_prediction(logits, codes, mask)
    expected = 0.0
    for clip, place in ((0, 0), (0, 3), (1, 2)):
        row = logits[clip, place]
        expected -= float(row[codes[clip, place]]) - math.log(sum(math.exp(float(x)) for x in row))
    assert int(count) == 3
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_spans_stay_inside_clips_and_are_replaced_by_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    n_frames = torch.tensor([200, 50])
    mask = masked.mask_spans(n_frames, 200, 0.02, 10, generator)
    assert not mask[1, 50:].any()
    assert 0.05 < float(mask[0].float().mean()) < 0.5
    edges = mask[0].int().diff().nonzero().flatten()
    assert len(edges) > 0
    features = torch.full((2, 200, 3), 7.0)
    out = masked.apply_mask(features, mask, generator)
    assert (out[~mask] == 7).all()
    assert 0.05 < float(out[mask].std()) < 0.2
