"""A map of voices, on which neighbours sound similar; only the report uses it.

McInnes, Healy, Melville: "UMAP: Uniform Manifold Approximation and Projection" (2018), arXiv:1802.03426.
"""

import math
import warnings

import numpy as np

FEWEST = 8  # voices for UMAP, whose neighbourhoods mean nothing for fewer: these are drawn on two principal axes
MOST = 50_000  # voices that UMAP is fitted on; the others are placed between their neighbours
NEIGHBOURS = 15
MIN_DISTANCE = 0.1
BLOCK = 2048
SHARP = 20.0  # increase of a neighbour's log weight per unit of cosine


def places(directions: np.ndarray, near: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return a place (n, 2) for each voice; no NaN.

    Args:
        directions: (n, d) unit vectors.
        near: (n, k) the nearest others of each, -1 if there are fewer.
        seed: of the map.
    """
    if len(directions) < FEWEST:
        return principal(directions)
    import umap  # compiles for seconds, which only the cluster stage should pay for

    n = len(directions)
    fitted = np.sort(np.random.default_rng(seed).choice(n, MOST, replace=False)) if n > MOST else np.arange(n)
    # In a small catalogue, many neighbours would connect everyone with everyone.
    model = umap.UMAP(
        n_neighbors=min(NEIGHBOURS, max(5, math.isqrt(len(fitted))), len(fitted) - 1),
        min_dist=MIN_DISTANCE,
        metric="cosine",
        random_state=seed,
        n_jobs=1,
    )
    place = np.full((n, 2), np.nan, np.float32)
    with warnings.catch_warnings():
        # If voices lie far apart the graph has several components, which UMAP handles but warns about.
        warnings.filterwarnings("ignore", category=UserWarning, module="umap|sklearn")
        place[fitted] = model.fit_transform(directions[fitted])
    place_between(place, directions, near)
    # A voice without any neighbour (all its distances at the maximum) gets no place from UMAP, and the middle here.
    lost = ~np.isfinite(place).all(axis=1)
    place[lost] = place[~lost].mean(0) if (~lost).any() else 0.0
    return place


def place_between(place: np.ndarray, directions: np.ndarray, near: np.ndarray) -> None:
    """Place each voice without a `place (n, 2)` (NaN) between its placed neighbours, closer to more similar ones.

    A voice without placed neighbours is placed after them; if no path of neighbours leads to it, it stays without.
    """
    has = np.isfinite(place).all(1)
    open_rows = np.flatnonzero(~has)
    while len(open_rows):
        reached = (has[near[open_rows]] & (near[open_rows] >= 0)).any(1)
        if not reached.any():
            break
        rows = open_rows[reached]
        for start in range(0, len(rows), BLOCK):
            part = rows[start : start + BLOCK]
            others = near[part]
            cosine = np.einsum("nd,nkd->nk", directions[part], directions[others])
            weight = np.where(has[others] & (others >= 0), np.exp(SHARP * (cosine - 1)), 0.0)
            near_by = np.where(weight[..., None] > 0, place[others], 0.0)
            place[part] = np.einsum("nk,nkc->nc", weight, near_by) / weight.sum(1, keepdims=True)
        has[rows] = True
        open_rows = open_rows[~reached]


def principal(directions: np.ndarray) -> np.ndarray:
    """Return places (n, 2) on the two principal axes."""
    place = np.zeros((len(directions), 2))
    if len(directions) > 1:
        apart = directions - directions.mean(0)
        axes = np.linalg.eigh((apart.T @ apart).astype(np.float64))[1][:, :-3:-1]
        place[:, : axes.shape[1]] = apart @ axes
    return place
