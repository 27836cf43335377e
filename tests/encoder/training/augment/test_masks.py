"""Time and frequency masks."""

import torch

from encoder.training.augment.masks import mask_features
from encoder.training.config import NO_AUGMENT, chance


def test_masks_hide_one_span_of_time_and_one_band_within_their_ranges() -> None:
    features = torch.ones(64, 200, 80)
    config = NO_AUGMENT.model_copy(
        update={"time_mask_s": chance(1.0, 0.1, 0.3), "frequency_mask": chance(1.0, 0.1, 0.2)}
    )
    n_frames = torch.full((64,), 150)
    out = mask_features(features, n_frames, config, torch.Generator().manual_seed(0), hop_s=0.01)
    times, bands = (out == 0).all(2), (out == 0).all(1)
    assert set(times.sum(1).tolist()) <= set(range(10, 31))
    assert set(bands.sum(1).tolist()) <= set(range(8, 17))
    assert not times[:, 150:].any()
    assert len(set(times.float().argmax(1).tolist())) > 10
    assert ((times.int().diff(dim=1) == 1).sum(1) <= 1).all()
