"""A singer's prototype is the mean vector of the singer's crops, at each speed and of the right recording."""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from encoder import Encoder
from encoder.config import preset
from encoder.training.config import ViewsConfig
from encoder.training.data import ClipShards
from encoder.training.prototypes import crop, make_prototypes
from encoder.training.views import ViewDataset

RATE = 44100


def views(clips: Path, **settings: object) -> ViewDataset:
    config = ViewsConfig.model_validate({"crop_s": 0.5, **settings})
    return ViewDataset(ClipShards.open(clips), config, RATE, 4, 0)


def test_a_prototype_is_the_mean_vector_of_a_singers_crops(make_clips: Callable[..., Path]) -> None:
    torch.manual_seed(0)
    encoder = Encoder(preset("tiny")).eval()
    dataset = views(make_clips(tracks=3, clips=2), speeds=[1.0, 1.25])
    prototypes = make_prototypes(encoder, dataset, one_singer=2.0)
    assert prototypes.vectors.shape == (6, 64)
    assert not prototypes.ambiguous.any()
    second = [number for number, singer in enumerate(dataset.singers) if singer == 1]
    with torch.no_grad():
        vectors = torch.cat([encoder(crop(dataset, clip, 1.25)[None], RATE) for clip in second])
    assert torch.allclose(prototypes.vectors[3], F.normalize(vectors.mean(0), dim=0), atol=1e-4)
    one_singer = make_prototypes(encoder, dataset, one_singer=-1.0).ambiguous
    assert torch.equal(one_singer, ~torch.eye(6, dtype=torch.bool))


def test_it_is_made_from_the_recording_that_second_views_come_from(make_clips: Callable[..., Path]) -> None:
    clips = make_clips(tracks=2, clips=1, pairs=True)
    plain, paired = crop(views(clips), 0, 1.0), crop(views(clips, pair_share=0.4), 0, 1.0)
    # The fixture's pair is the clip with its sign inverted.
    assert torch.equal(plain, -paired)
