"""An index of unit vectors for approximate nearest neighbours: small-world graphs (HNSW), in pieces.

Each piece is built by one thread, so that the same vectors always give the same index: faiss's own threads would link
vectors in a random order. Pieces are built, and searched for blocks of vectors, in parallel: by threads, or by whatever
a `Starmap` gives the work to. Similar vectors are searched for one after the other, so that what one search has read is
still in the processor's cache for the next.

Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using hierarchical navigable small world
graphs" (IEEE TPAMI 42, 2020). Douze et al., "The Faiss library" (2024), arXiv:2401.08281.
"""

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

PIECE = 500_000  # vectors in one piece
LINKS = "HNSW32_SQ8"  # 32 links a vector, a byte a dimension
# Candidates that are looked at for each vector; a search of several pieces shares twice as many among them.
MADE_WITH, SOUGHT_WITH = 120, 230
TRAINED = 50_000  # vectors from which the range of each dimension is taken
BLOCK = 65_536
PLACES = 1024  # by which vectors are ordered

# Calls a function in parallel with each of several tuples of arguments, and returns the results in their order.
Starmap = Callable[[Callable[..., Any], Sequence[tuple]], list[Any]]


def in_threads(work: Callable[..., Any], calls: Sequence[tuple]) -> list[Any]:
    """Distribute work over the processors of this machine."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda call: work(*call), calls))


class Index:
    """Unit vectors in pieces of at most `PIECE`, numbered as they were added."""

    def __init__(self, pieces: Sequence[Any] = ()):
        self.pieces = list(pieces)

    def __len__(self) -> int:
        return sum(piece.ntotal for piece in self.pieces)

    def add(self, directions: np.ndarray, starmap: Starmap = in_threads) -> "Index":
        """Add unit vectors (n, d), filling the last piece first, and return the index."""
        room = PIECE - self.pieces[-1].ntotal if self.pieces else 0
        if room:
            _grown(self.pieces[-1], directions[:room])
        rest = directions[room:]
        if n_pieces := math.ceil(len(rest) / PIECE):
            self.pieces += starmap(_piece, [(part,) for part in np.array_split(rest, n_pieces)])
        return self

    def search(self, directions: np.ndarray, k: int, starmap: Starmap = in_threads) -> np.ndarray:
        """Return the numbers (n, k) of approximately the nearest to unit vectors (n, d), in no order; -1 if fewer.

        Args:
            directions: (n, d) to search for.
            k: how many.
            starmap: runs the search in parallel.
        """
        order = _similar_together(directions)
        blocks = [order[start : start + BLOCK] for start in range(0, len(order), BLOCK)]
        asked = [directions[rows] for rows in blocks]
        each = max(k, 2 * SOUGHT_WITH // max(len(self.pieces), 2))
        answers = starmap(_asked, [(piece, block, k, each) for piece in self.pieces for block in asked])
        found = np.empty((len(directions), k), np.int32)
        for i, rows in enumerate(blocks):
            found[rows] = self._together(answers[i :: len(blocks)], len(rows), k)
        return found

    def _together(self, answers: Sequence[tuple[np.ndarray, np.ndarray]], n: int, k: int) -> np.ndarray:
        """Return the nearest (n, k) of the results from all pieces."""
        score, found, first = np.full((n, k), -np.inf, np.float32), np.full((n, k), -1), 0
        for piece, (cosine, number) in zip(self.pieces, answers, strict=True):
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
        """Return the index from the pieces that `to_bytes` returned."""
        import faiss

        return cls([faiss.deserialize_index(np.frombuffer(piece, np.uint8)) for piece in pieces])


def _piece(directions: np.ndarray) -> Any:
    import faiss

    piece: Any = faiss.index_factory(directions.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    piece.hnsw.efConstruction = MADE_WITH
    piece.train(directions[:: math.ceil(len(directions) / TRAINED)])
    return _grown(piece, directions)


def _grown(piece: Any, directions: np.ndarray) -> Any:
    with _one_thread():
        piece.add(directions)
    return piece


def _asked(piece: Any, directions: np.ndarray, k: int, sought_with: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the cosines (n, k) and the numbers, within the piece, of approximately the nearest; -1 for none."""
    piece.hnsw.efSearch = sought_with
    with _one_thread():
        cosine, number = piece.search(directions, k)
    return cosine, number.astype(np.int32)


def _similar_together(directions: np.ndarray) -> np.ndarray:
    """Return an order (n,) of unit vectors in which similar ones follow each other.

    Each vector goes to the nearest of a few of them, and these follow each other by similarity.
    """
    n_places = min(PLACES, len(directions) // 64)
    if n_places < 2:
        return np.arange(len(directions))
    places = directions[np.linspace(0, len(directions) - 1, n_places).astype(int)]
    similar = places @ places.T
    rank, at = np.full(n_places, -1), 0
    for i in range(n_places):
        rank[at] = i
        at = int(np.where(rank < 0, similar[at], -np.inf).argmax())
    parts = np.array_split(directions, 1 + len(directions) // BLOCK)
    return np.argsort(np.concatenate([rank[(part @ places.T).argmax(1)] for part in parts]), kind="stable")


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Make faiss run in the calling thread only."""
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
