"""What recordings say about who sings, and how similar the recordings of one voice are.

The vector of a set of tracks is the sum of the tracks' vectors. The length of that sum and the lengths of its parts
tell how similar the tracks are to each other, on average, in units of what is expected of one singer's tracks.
"""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix

from pipeline.scoring.scores import blockwise, unit

FAINT = 1e-6
USUAL = 1.0  # prior number of pairs of tracks with the usual similarity


@dataclass(frozen=True)
class Sides:
    """What a comparison needs to know of each of its sides besides their cosine (...).

    Attributes:
        reliability: expected squared correlation with the singer's true direction.
        length: of the vector, divided by its precision. The cosine times both lengths is the similarity of two sides,
            of which 1 is expected for one singer.
        links: number of independent pairs among a side's own tracks, which is one less than its tracks.
        alike: similarity of the side's own tracks, times `links`.
        variance: of strangers' cosines with the side, relative to those with a usual voice.
    """

    reliability: np.ndarray
    length: np.ndarray
    links: np.ndarray
    alike: np.ndarray
    variance: np.ndarray

    @classmethod
    def of(cls, length: np.ndarray, precision: np.ndarray, single: np.ndarray, variance: ArrayLike = 1.0) -> "Sides":
        """Return the sides (...) of evidence whose vectors have a `length (...)`."""
        own = np.maximum(single[..., 1], FAINT)
        found = (
            precision / (1.0 + precision),
            length / np.maximum(precision, FAINT),
            np.maximum(precision**2 / own - 1.0, 0.0),
            (length.astype(float) ** 2 - single[..., 0]) / own,
            np.broadcast_to(np.asarray(variance), own.shape),
        )
        return cls(*(values.astype(np.float32) for values in found))

    def __getitem__(self, rows: Any) -> "Sides":
        return Sides(*(getattr(self, name.name)[rows] for name in fields(self)))


@dataclass(frozen=True)
class Evidence:
    """What recordings say about who sings: sums over tracks, so a group's evidence is the sum of its tracks'.

    Attributes:
        vector: (..., d) with the direction of the voice.
        precision: (...) how certain it is (0 if nothing is known).
        single: (..., 2) sums over the tracks of squared lengths and of squared precisions.
    """

    vector: np.ndarray
    precision: np.ndarray
    single: np.ndarray

    @classmethod
    def of_tracks(cls, vector: np.ndarray, precision: np.ndarray) -> "Evidence":
        """Return the evidence of single tracks."""
        squares = blockwise(lambda part: (part.astype(float) ** 2).sum(-1), vector)
        return cls(vector, precision, np.stack([squares, precision**2], axis=-1))

    def __len__(self) -> int:
        return len(self.precision)

    def __getitem__(self, rows: Any) -> "Evidence":
        found = Evidence(self.vector[rows], self.precision[rows], self.single[rows])
        for name in {"direction", "sides"} & vars(self).keys():  # what was computed for all rows holds for some
            vars(found)[name] = vars(self)[name][rows]
        return found

    def __add__(self, other: "Evidence") -> "Evidence":
        return Evidence(self.vector + other.vector, self.precision + other.precision, self.single + other.single)

    def __sub__(self, other: "Evidence") -> "Evidence":
        return Evidence(
            self.vector - other.vector,
            np.maximum(self.precision - other.precision, 0.0),
            np.maximum(self.single - other.single, 0.0),
        )

    def replaced(self, rows: np.ndarray, other: "Evidence") -> "Evidence":
        """Return the evidence with that of `rows (k,)` taken from another one (k,)."""
        if not len(rows):
            return self
        found = Evidence(self.vector.copy(), self.precision.copy(), self.single.copy())
        for name in fields(self):
            getattr(found, name.name)[rows] = getattr(other, name.name)
        return found

    def as_one(self) -> "Evidence":
        """Return the evidence with each row as one track: a track's clips are more similar than a singer's tracks."""
        return Evidence.of_tracks(self.vector, self.precision)

    def scaled(self, weight: np.ndarray) -> "Evidence":
        """Return the evidence with a `weight (...)`."""
        vector = self.vector * weight[..., None].astype(np.float32)
        return Evidence(vector, self.precision * weight, self.single * weight[..., None] ** 2)

    @property
    def reliability(self) -> np.ndarray:
        """Expected squared correlation (...) with the singer's true direction."""
        return self.precision / (1.0 + self.precision)

    @cached_property
    def direction(self) -> np.ndarray:
        """Unit vectors (..., d); zeros where nothing is known."""
        return blockwise(
            lambda vector, precision: np.where(precision[..., None] > 1e-9, unit(vector), np.float32(0)),
            self.vector,
            self.precision,
        )

    @cached_property
    def sides(self) -> Sides:
        """What comparisons with each row need to know of it."""
        length = blockwise(lambda vector: np.linalg.norm(vector, axis=-1), self.vector)
        return Sides.of(length, self.precision, self.single)

    def summed(self, group: np.ndarray, n_groups: int) -> "Evidence":
        """Return the evidence of each group; rows whose `group (n,)` is negative take no part."""
        rows = np.flatnonzero(group >= 0)
        return self.mixed(csr_matrix((np.ones(len(rows)), (group[rows], rows)), (n_groups, len(self))))

    def mixed(self, weight: csr_matrix) -> "Evidence":
        """Return the evidence of g sets, to which each row belongs with its `weight (g, n)`."""
        vector = weight.astype(self.vector.dtype) @ self.vector
        return Evidence(vector, weight @ self.precision, weight.power(2) @ self.single)


def expected(left: Sides, right: Sides) -> np.ndarray:
    """Return the expected similarity of two sides (...) of one singer, from the similarity within each of them."""
    return (USUAL + left.alike + right.alike) / (USUAL + left.links + right.links)
