"""Simulated voices: directions of singers, with tracks scattered around them."""

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.scoring.backend import Backend

DIM = 64


@pytest.fixture(scope="session")
def simulate() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Return a function from each singer's number of tracks to unit vectors (n, DIM) and who sings each (n,)."""

    def make(sizes: list[int], scatter: float = 0.8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        who = np.repeat(np.arange(len(sizes)), sizes)
        rows = rng.normal(size=(len(sizes), DIM))[who] + scatter * rng.normal(size=(len(who), DIM))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), who

    return make


@pytest.fixture(scope="session")
def backend() -> Backend:
    """Return a back-end that takes the simulated vectors as they are."""
    return Backend(np.zeros(DIM), np.eye(DIM))
