"""How recordings that share a vocalist differ: sums that are made in pieces and added up."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pipeline.store import tables
from pipeline.store.workspace import Workspace


@dataclass(frozen=True)
class Scatter:
    """How rows lie around the means of their groups: `squares (d, d)` summed, and the degrees of freedom."""

    squares: np.ndarray
    degrees: int

    def __add__(self, other: "Scatter") -> "Scatter":
        return Scatter(self.squares + other.squares, self.degrees + other.degrees)


def scatter(vectors: np.ndarray, group: np.ndarray) -> Scatter:
    """Return how `vectors (n, d)` lie around the means of their `group (n,)`: clips in tracks, tracks in groups."""
    names, at, count = np.unique(group, return_inverse=True, return_counts=True)
    sums = np.zeros((len(names), vectors.shape[1]))
    np.add.at(sums, at, vectors)
    apart = vectors - (sums / count[:, None])[at]
    return Scatter(apart.T @ apart, len(vectors) - len(names))


def of_clips(workspace: Workspace, parts: Iterable[str], dim: int) -> Scatter:
    """Return how the clips' vectors (dim,) in parts of `embeddings/` lie around their tracks' means.

    All clips of a track are in one part, so parts can be read by many workers and their sums added.
    """
    total = Scatter(np.zeros((dim, dim)), 0)
    for name in parts:
        rows = tables.read_part(workspace, name, ["track_id", "embedding"])
        vectors = tables.vectors_of(rows)
        if len(rows) and vectors.shape[1] == dim:
            total += scatter(vectors, np.asarray(rows["track_id"].to_pylist()))
    return total
