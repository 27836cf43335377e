"""How recordings of one vocalist differ: sums that are computed in parts and added up."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pipeline.store import tables
from pipeline.store.workspace import Workspace


@dataclass(frozen=True)
class Scatter:
    """The sum of outer products of rows' deviations from their groups' means.

    Attributes:
        squares: (d, d) the sum.
        degrees: its degrees of freedom.
    """

    squares: np.ndarray
    degrees: float

    def __add__(self, other: "Scatter") -> "Scatter":
        return Scatter(self.squares + other.squares, self.degrees + other.degrees)


def scatter(vectors: np.ndarray, group: np.ndarray, power: float = 1.0) -> Scatter:
    """Return the scatter of rows around the means of their groups: of clips within tracks, of tracks within groups.

    Args:
        vectors: (n, d).
        group: (n,) of each row.
        power: of the degrees of freedom with which a group counts; below 1, large groups dominate less.
    """
    names, at, count = np.unique(group, return_inverse=True, return_counts=True)
    sums = np.zeros((len(names), vectors.shape[1]))
    np.add.at(sums, at, vectors)
    degrees = (count - 1.0) ** power
    weight = np.sqrt(degrees / np.maximum(count - 1.0, 1.0))
    apart = (vectors - (sums / count[:, None])[at]) * weight[at, None]
    return Scatter(apart.T @ apart, float(degrees.sum()))


def of_clips(workspace: Workspace, parts: Iterable[str], dim: int) -> Scatter:
    """Return the scatter of the clips in parts of `embeddings/` around their tracks' means.

    All clips of a track are in one part, so many workers can each read some parts and their sums can be added.

    Args:
        workspace: with the parts.
        parts: their names.
        dim: of the vectors; parts with others are skipped.
    """
    total = Scatter(np.zeros((dim, dim)), 0.0)
    for name in parts:
        rows = tables.read_part(workspace, name, ["track_id", "embedding"])
        vectors = tables.vectors_of(rows)
        if len(rows) and vectors.shape[1] == dim:
            total += scatter(vectors, np.asarray(rows["track_id"].to_pylist()))
    return total
