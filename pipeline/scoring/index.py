"""An index of unit vectors, asked for about the nearest of them: small worlds (HNSW), in pieces.

One thread makes a piece, so that the same vectors make the same index however many work on it: faiss's own threads
would link voices as they come along.

Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using hierarchical navigable small world
graphs" (IEEE TPAMI 42, 2020). Douze et al., "The Faiss library" (2024), arXiv:2401.08281.
"""

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

PIECE = 500_000  # vectors of one piece
LINKS = "HNSW32_SQ8"  # 32 links a vector, a byte a dimension
MADE_WITH, SOUGHT_WITH = 60, 160  # vectors looked at for each
TRAINED = 50_000  # vectors that say how far each dimension reaches
BLOCK = 65_536


class Index:
    """Unit vectors in pieces of at most `PIECE`, numbered as they were added."""

    def __init__(self, pieces: Sequence[Any] = ()):
        self.pieces = list(pieces)

    def __len__(self) -> int:
        return sum(piece.ntotal for piece in self.pieces)

    def add(self, directions: np.ndarray) -> "Index":
        """Add unit vectors (n, d): those that the last piece has room for to that one; return the index."""
        room = PIECE - self.pieces[-1].ntotal if self.pieces else 0
        if room:
            _grown(self.pieces[-1], directions[:room])
        rest = directions[room:]
        if n_pieces := math.ceil(len(rest) / PIECE):
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                self.pieces += pool.map(_piece, np.array_split(rest, n_pieces))
        return self

    def search(self, directions: np.ndarray, k: int, sought_with: int = SOUGHT_WITH) -> np.ndarray:
        """Return the numbers (n, k) of about the nearest to unit vectors (n, d), in no order; -1 for fewer.

        Args:
            sought_with: vectors looked at for each, in all pieces together: more find more of the nearest.
        """
        found = np.empty((len(directions), k), np.int32)
        for start in range(0, len(directions), BLOCK):
            found[start : start + BLOCK] = self._search(directions[start : start + BLOCK], k, sought_with)
        return found

    def _search(self, directions: np.ndarray, k: int, sought_with: int) -> np.ndarray:
        found = np.full((len(directions), k), -1)
        score = np.full((len(directions), k), -np.inf, np.float32)
        first = 0
        for piece in self.pieces:
            piece.hnsw.efSearch = max(k, sought_with // len(self.pieces))
            cosine, number = piece.search(directions, k)
            score = np.concatenate([score, np.where(number >= 0, cosine, -np.inf)], axis=1)
            found = np.concatenate([found, np.where(number >= 0, number + first, -1)], axis=1)
            at = np.argpartition(-score, k - 1, axis=1)[:, :k]
            score, found = np.take_along_axis(score, at, 1), np.take_along_axis(found, at, 1)
            first += piece.ntotal
        return found

    def to_bytes(self) -> list[bytes]:
        """Return each piece as a file's bytes."""
        import faiss

        return [faiss.serialize_index(piece).tobytes() for piece in self.pieces]

    @classmethod
    def from_bytes(cls, pieces: Sequence[bytes]) -> "Index":
        """Return the index whose pieces `to_bytes` gave."""
        import faiss

        return cls([faiss.deserialize_index(np.frombuffer(piece, np.uint8)) for piece in pieces])


def _piece(directions: np.ndarray) -> Any:
    import faiss

    piece: Any = faiss.index_factory(directions.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    piece.hnsw.efConstruction = MADE_WITH
    piece.train(directions[:: math.ceil(len(directions) / TRAINED)])
    return _grown(piece, directions)


def _grown(piece: Any, directions: np.ndarray) -> Any:
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        piece.add(directions)
    finally:
        faiss.omp_set_num_threads(threads)
    return piece
