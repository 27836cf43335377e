"""Prototypes: a fixed vector for each singer, by the encoder that training starts from.

A singer's prototype is the mean of the vectors of some of the singer's crops. If second views come from `pair_audio`,
the crops do too: where that is the clean voice, a separated voice is pulled towards the clean one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from encoder.model import Encoder
from encoder.training import trunk
from encoder.training.views import ViewDataset, at_speed, pad

CROPS = 8  # of a singer, at most
CROP_S = 4.0


@dataclass(frozen=True)
class Prototypes:
    """The prototypes of all identities of a `ViewDataset`.

    Attributes:
        vectors: (identities, dim), unit norm.
        ambiguous: (identities, identities) bool, pairs that may be the same singer.
    """

    vectors: Tensor
    ambiguous: Tensor

    def to(self, device: torch.device) -> Prototypes:
        """Return them on a device."""
        return Prototypes(self.vectors.to(device), self.ambiguous.to(device))


@torch.no_grad()
def make_prototypes(encoder: Encoder, views: ViewDataset, one_singer: float) -> Prototypes:
    """Embed crops of all singers.

    Args:
        encoder: before training, in evaluation mode.
        views: whose singers get a prototype.
        one_singer: cosine above which two prototypes may belong to one singer.
    """
    clips: dict[int, list[int]] = defaultdict(list)
    for clip, singer in enumerate(views.singers):
        clips[singer].append(clip)
    means = []
    for singer in sorted(clips):
        some = np.linspace(0, len(clips[singer]) - 1, min(CROPS, len(clips[singer]))).round().astype(int)
        for speed in views.config.speeds:
            waves, lengths = pad([crop(views, clips[singer][at], speed) for at in some])
            device = next(encoder.parameters()).device
            vectors = trunk.embed(encoder, waves.to(device), lengths.to(device))
            means.append(F.normalize(vectors.mean(0), dim=0))
    vectors = torch.stack(means)
    return Prototypes(vectors, (vectors @ vectors.T > one_singer).fill_diagonal_(False))


def crop(views: ViewDataset, clip: int, speed: float) -> Tensor:
    """Return the middle of a clip (samples,) at a speed, from the recording that second views come from."""
    paired = views.config.positives == "pair" or views.config.pair_share > 0
    wave, rate = views.shards.crop(clip, 0.5, CROP_S * speed, "pair_audio" if paired else "audio")
    return at_speed(wave, rate, views.rate, speed)
