"""A back-end adapted to other vectors: its normalisation, its numbers and its scale.

The numbers of the score follow from how cosines within the groups of a partition, and between them, have changed.
"""

from dataclasses import replace

import numpy as np

from pipeline.scoring import metrics
from pipeline.scoring.backend import Backend, Numbers
from pipeline.scoring.scatter import Scatter
from pipeline.scoring.scores import unit
from pipeline.scoring.voices import Voices

LARGEST_SHARE = 0.9


def normalisation(matrix: np.ndarray, *seen: tuple[Scatter, float]) -> np.ndarray:
    """Return the matrix (d, d) that whitens a mixture of covariances.

    Args:
        matrix: (d, d) the normalisation so far; what it whitens is the first covariance.
        seen: scatters, each with the degrees of freedom at which it weighs as much as everything before it.
    """
    covariance = _scaled(np.linalg.inv(matrix @ matrix))
    for found, half in seen:
        share = found.degrees / (found.degrees + half)
        covariance = (1 - share) * covariance + share * _scaled(found.squares)
    variance, axes = np.linalg.eigh(covariance)
    return (axes / np.sqrt(np.maximum(variance, 1e-6))) @ axes.T


def _scaled(covariance: np.ndarray) -> np.ndarray:
    """Return a covariance (d, d) scaled to a mean variance of 1."""
    return covariance * (len(covariance) / max(float(np.trace(covariance)), 1e-12))


def disagreement(backend: Backend, means: np.ndarray, group: np.ndarray) -> float:
    """Return the equal-error rate of the cosines of tracks, pairs within a group being by one vocalist.

    Args:
        backend: to score with.
        means: (n, d) of tracks.
        group: (n,) of each.

    Returns:
        A fraction; 0 if there are no pairs within groups, or none between them.
    """
    cosine, same = _pairs(backend, means, group)
    return metrics.eer(cosine, same) if same.any() and not same.all() else 0.0


def adapted_numbers(
    before: Backend, means: np.ndarray, after: Backend, new_means: np.ndarray, group: np.ndarray
) -> Numbers:
    """Return the numbers of the score for `after`, from how cosines within and between groups have changed.

    The expected similarity of a vocalist's two tracks, `share`, grows as the cosines within groups do; they include
    the tracks that were learned from, so other tracks are believed less. Ratios scale with the inverse variance of
    the cosines between groups.

    Args:
        before: the back-end before.
        means: (n, d) of tracks, as `before` scores them.
        after: the new back-end.
        new_means: (n, d) of the same tracks, as `after` scores them.
        group: (n,) of each.
    """
    cosine, same = _pairs(before, means, group)
    new, _ = _pairs(after, new_means, group)
    numbers = before.numbers
    if not same.any() or same.all():
        return numbers
    share = min(numbers.share * float(new[same].mean() / cosine[same].mean()), LARGEST_SHARE)
    factor = float(cosine[~same].var() / new[~same].var())
    return replace(numbers, share=share, slope=numbers.slope * factor, curve=numbers.curve * factor)


def _pairs(backend: Backend, means: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cosines of all pairs of tracks, and whether both tracks are in one group."""
    normed = unit((means - backend.mean) @ backend.matrix)
    left, right = np.triu_indices(len(means), 1)
    return (normed @ normed.T)[left, right], group[left] == group[right]


def as_long(backend: Backend, means: np.ndarray, new: Backend, new_means: np.ndarray) -> Backend:
    """Return `new`, scaled so that tracks lie as far from its centre as they did from that of `backend`."""
    apart, then = means - backend.mean, new_means - new.mean
    before, after = np.square(apart @ backend.matrix).sum(), np.square(then @ new.matrix).sum()
    return replace(new, matrix=new.matrix * np.sqrt(before / max(after, 1e-12)))


def for_mapped(backend: Backend, voices: Voices, clips: Scatter, encoder_id: str) -> Backend:
    """Return the back-end of an encoder that has the matrix of `backend` in its head.

    The encoder normalises its vectors after the map, which divides them by the map's usual gain; so everything that is
    measured in their units is divided by it too.

    Args:
        backend: that was taught.
        voices: by the encoder without the map.
        clips: scatter of all clips around their tracks' means.
        encoder_id: of the encoder with the map.
    """
    means = voices.means @ backend.matrix
    around = np.einsum("ij,ij->", backend.matrix @ clips.squares, backend.matrix) / (clips.degrees + len(voices))
    gain = float(np.sqrt(np.square(means).sum(1).mean() + around))
    mean, variance = backend.mean @ backend.matrix / gain, backend.variance / gain**2
    return Backend(mean, np.eye(len(mean)), backend.numbers, encoder_id, variance)
