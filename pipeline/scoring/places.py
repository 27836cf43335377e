"""A map of voices: neighbours on it sound alike. It is drawn for people; nothing else reads it.

McInnes, Healy, Melville: "UMAP: Uniform Manifold Approximation and Projection" (2018), arXiv:1802.03426.
"""

import math
import warnings

import numpy as np

FEWEST = 8  # with fewer voices UMAP's neighbourhoods mean nothing: their two principal axes are drawn
MOST = 50_000  # so many are fitted, the rest is placed among them
NEIGHBOURS = 15
MIN_DISTANCE = 0.1
BLOCK = 20_000


def places(directions: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return a place (n, 2) for each voice, whose unit vectors are `directions (n, d)`; no NaN."""
    if len(directions) < FEWEST:
        return principal(directions)
    import umap  # compiles for seconds; nothing but the cluster stage should pay for it

    n = len(directions)
    fitted = np.sort(np.random.default_rng(seed).choice(n, MOST, replace=False)) if n > MOST else np.arange(n)
    # In a small catalogue many neighbours would join everyone.
    model = umap.UMAP(
        n_neighbors=min(NEIGHBOURS, max(5, math.isqrt(len(fitted))), len(fitted) - 1),
        min_dist=MIN_DISTANCE,
        metric="cosine",
        random_state=seed,
        n_jobs=1,
    )
    place = np.empty((n, 2), np.float32)
    with warnings.catch_warnings():
        # Catalogues of far-apart voices fall into separate graphs, which UMAP handles and warns about.
        warnings.filterwarnings("ignore", category=UserWarning, module="umap|sklearn")
        place[fitted] = model.fit_transform(directions[fitted])
        rest = np.setdiff1d(np.arange(n), fitted)
        for start in range(0, len(rest), BLOCK):
            place[rest[start : start + BLOCK]] = model.transform(directions[rest[start : start + BLOCK]])
    # A voice without any neighbour (all its distances at the maximum) has no place of its own: the middle.
    lost = ~np.isfinite(place).all(axis=1)
    place[lost] = place[~lost].mean(0) if (~lost).any() else 0.0
    return place


def principal(directions: np.ndarray) -> np.ndarray:
    """Return places (n, 2) on the two principal axes."""
    place = np.zeros((len(directions), 2))
    if len(directions) > 1:
        u, s, _ = np.linalg.svd((directions - directions.mean(0)).astype(np.float64), full_matrices=False)
        axes = min(2, len(s))
        place[:, :axes] = u[:, :axes] * s[:axes]
    return place
