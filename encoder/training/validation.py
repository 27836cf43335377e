"""Validation during training: the equal-error rate of held-out singers, and signs of collapsed embeddings.

`embedding_std` is the mean standard deviation of a dimension times the square root of the number of dimensions: 1 if
the unit vectors fill the sphere, 0 if all are the same. The effective rank is the exponential of the entropy of the
singular values' shares (Roy and Vetterli 2007, "The effective rank"): the number of directions in which embeddings lie.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoder.model import Encoder
from encoder.rates import equal_error_rate
from encoder.training import trunk
from encoder.training.data import ClipShards
from encoder.training.views import at_speed, pad

MOST_CLIPS = 256


def held_out(singers: Sequence[str], share: float) -> NDArray[np.bool_]:
    """Choose the clips of the singers to hold out: two singers or more, by a hash of their names, or none.

    None are held out if that would leave fewer singers for training than for validation.

    Args:
        singers: of each clip.
        share: of the singers to hold out.

    Returns:
        (clips,) bool.
    """
    ranked = sorted(set(singers), key=lambda name: hashlib.blake2b(name.encode()).digest())
    count = max(2, round(share * len(ranked))) if share else 0
    if 2 * count > len(ranked):
        count = 0
    chosen = set(ranked[:count])
    return np.array([singer in chosen for singer in singers], dtype=bool)


def trials_error_rate(embeddings: Tensor, singers: Sequence[str], tracks: Sequence[str]) -> float:
    """Compute the equal-error rate over all pairs of crops.

    Targets are pairs across the tracks of a singer, or across crops if no singer has several tracks.

    Args:
        embeddings: (n, dim) unit vectors.
        singers: of each crop.
        tracks: of each crop.

    Returns:
        A rate in [0, 1]; NaN if there are no trials of one kind.
    """
    scores = (embeddings @ embeddings.T).numpy()
    who, where = np.asarray(singers), np.asarray(tracks)
    upper = np.triu(np.ones(scores.shape, dtype=bool), 1)
    same = (who[:, None] == who[None]) & upper
    across = same & (where[:, None] != where[None])
    targets = across if across.any() else same
    return equal_error_rate(scores[targets], scores[~(who[:, None] == who[None]) & upper])


def embedding_std(embeddings: Tensor) -> float:
    """Return how far unit vectors `embeddings` (n, dim), n > 1, fill the sphere: 0 to about 1."""
    return float(embeddings.std(0).mean() * embeddings.shape[1] ** 0.5)


def effective_rank(embeddings: Tensor) -> float:
    """Return in how many directions `embeddings` (n, dim) lie about their mean; after a collapse 0 or 1."""
    values = torch.linalg.svdvals(embeddings - embeddings.mean(0))
    share = values / values.sum().clamp(min=1e-12)
    return float(torch.exp(-(share * share.clamp(min=1e-12).log()).sum()))


@torch.no_grad()
def validate(encoder: Encoder, shards: ClipShards, singers: Sequence[str], crop_s: float) -> dict[str, float]:
    """Embed two crops of each held-out clip and measure.

    Args:
        encoder: to measure.
        shards: the clips; if there are more than MOST_CLIPS, an evenly spaced selection is used.
        singers: of each clip.
        crop_s: length of a crop in seconds.

    Returns:
        `held_out_eer`, `embedding_std` and `effective_rank`.
    """
    device = next(encoder.parameters()).device
    numbers = np.unique(np.linspace(0, len(shards) - 1, min(MOST_CLIPS, len(shards))).round().astype(int))
    was_training = encoder.training
    encoder.eval()
    embeddings = []
    for first in range(0, len(numbers), 16):
        waves = []
        for number in numbers[first : first + 16]:
            for start in (0.0, 1.0):
                wave, rate = shards.crop(int(number), start, crop_s)
                waves.append(at_speed(wave, rate, encoder.sample_rate_hz, 1.0))
        batch, lengths = pad(waves)
        embeddings.append(trunk.embed(encoder, batch.to(device), lengths.to(device)).cpu())
    encoder.train(was_training)
    vectors = torch.cat(embeddings)
    who = [singers[number] for number in numbers for _ in range(2)]
    tracks = [shards.rows[number].track_id for number in numbers for _ in range(2)]
    return {
        "held_out_eer": trials_error_rate(vectors, who, tracks),
        "embedding_std": embedding_std(vectors),
        "effective_rank": effective_rank(vectors),
    }
