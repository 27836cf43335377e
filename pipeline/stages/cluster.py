"""Clustering: which tracks share a vocalist, and a map of all voices.

Tracks are joined by the log-likelihood ratios of whole groups (`pipeline.scoring.groups`), in the space and with the
calibration of the encoder. The more distinct voices the catalogue has, the further the centre of that space is moved
towards the catalogue's own mean, so one singer's folder stays one cluster. UMAP only draws the map.

docs/answers.md compares methods on real recordings and simulated catalogues.
"""

import numpy as np
import pandas as pd

from pipeline.scoring.backend import Backend
from pipeline.scoring.centre import centred
from pipeline.scoring.groups import agglomerate, among, membership, nearest_group
from pipeline.scoring.metrics import NOISE
from pipeline.scoring.neighbours import nearest
from pipeline.scoring.places import places, principal
from pipeline.scoring.voices import Voices
from pipeline.sections import ClusterConfig


def cluster_voices(
    voices: Voices, backend: Backend, config: ClusterConfig, seed: int = 0, near: np.ndarray | None = None
) -> pd.DataFrame:
    """Group voices and place them on a map.

    Args:
        voices: in any order, as long as it is always the same.
        backend: as it came with the encoder.
        config: how sure groups have to be, and how the map is drawn.
        seed: of the map.
        near: (n, k) the nearest others of each, -1 if there are fewer; computed if not given.

    Returns:
        A row per voice: `track_id`, `cluster_id` (0, 1, ... by size; -1 for none), `probability` that it has the same
        vocalist as the others of its cluster (0 for none), `outlier_score` in [0, 1] (the probability that no other
        voice has the same vocalist), and its position on the map `x`, `y`. No NaN.

    Raises:
        ValueError: the vectors are not (n, d), or not finite.
    """
    if voices.means.ndim != 2 or len(voices.means) != len(voices):
        raise ValueError(f"vectors must be (n, d), not {voices.means.shape}")
    if not np.isfinite(voices.means).all():
        raise ValueError("vectors hold values that are not finite")
    backend = centred(voices, backend)
    evidence = backend.evidence(voices.means, voices.seconds)
    near = nearest(evidence, backend) if near is None else near
    backend = among(evidence, backend)
    group, n_voices, _ = agglomerate(evidence, backend, config.purity, near)
    probability = membership(evidence, group, backend, n_voices)
    other = nearest_group(evidence, group, near, backend, n_voices)
    labels = by_size(np.where(np.bincount(group, minlength=1)[group] > 1, group, NOISE) if len(group) else group)
    place = places(evidence.direction, near, seed) if config.umap else principal(evidence.direction)
    return pd.DataFrame(
        {
            "track_id": voices.track_ids,
            "cluster_id": labels.astype(np.int32),
            "probability": probability,
            "outlier_score": 1.0 - np.where(labels == NOISE, other, probability),
            "x": place[:, 0].astype(np.float64),
            "y": place[:, 1].astype(np.float64),
        }
    )


def by_size(labels: np.ndarray) -> np.ndarray:
    """Renumber clusters 0, 1, ... by decreasing size, and equal sizes by their first member; -1 stays."""
    found, first, count = np.unique(labels[labels != NOISE], return_index=True, return_counts=True)
    order = found[np.lexsort((first, -count))]
    renamed = {int(old): new for new, old in enumerate(order)}
    return np.array([renamed.get(int(label), NOISE) for label in labels], np.int64)


def describe(clusters: pd.DataFrame) -> str:
    """Return the result of clustering in one sentence."""
    n = len(clusters)
    found = clusters[clusters["cluster_id"] != NOISE]
    line = (
        f"{n} voice{'s' * (n != 1)}: {found['cluster_id'].nunique()} clusters of {len(found)} tracks, "
        f"{n - len(found)} in none"
    )
    return line + (f"; {found['probability'].mean():.0%} sure" if len(found) else "")
