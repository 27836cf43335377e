"""The map of the page: which tracks it shows, and where."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from pipeline.report.content import number
from pipeline.store import tables
from pipeline.store.workspace import Workspace


def points(
    workspace: Workspace, tracks: pd.DataFrame, max_points: int, rng: np.random.Generator, asked: pd.DataFrame
) -> tuple[pd.DataFrame, int]:
    """Return the tracks that the map shows, with the time to start playing, and how many have a place on it.

    Args:
        workspace: of the tracks.
        tracks: from `content.tracks`.
        max_points: how many tracks to show.
        rng: for the choice if there are more.
        asked: `track_id` and `start_s` of tracks that are always shown and start there; others start at the first clip.
    """
    placed = tracks[tracks["x"].notna() & tracks["y"].notna()]
    shown = placed
    if len(placed) > max_points:
        drawn = placed["track_id"].isin(asked["track_id"]).to_numpy(copy=True)
        others = np.flatnonzero(~drawn)
        drawn[rng.choice(others, min(len(others), max(0, max_points - drawn.sum())), replace=False)] = True
        shown = placed[drawn]
    wanted = set(shown["track_id"])
    starts: dict[str, float] = {}
    for part in tables.iter_arrow(workspace, "embeddings", ["track_id", "start_s"], wanted):
        for track_id, start_s in zip(part["track_id"].to_pylist(), part["start_s"].to_pylist(), strict=True):
            starts[track_id] = min(start_s, starts.get(track_id, start_s))
    starts |= dict(zip(asked["track_id"], asked["start_s"], strict=True))
    return shown.assign(start_s=shown["track_id"].map(starts).astype(float).fillna(0.0)), len(placed)


def data(workspace: Workspace, points: pd.DataFrame, sounds: Iterable[str]) -> dict[str, Any]:
    """Return the map's data as columns; vocalists are indices into `names`, the most frequent first."""
    counts = points.loc[points["vocalist"] != "", "vocalist"].value_counts()
    names = sorted(counts.index, key=lambda name: (-counts[name], name))
    place = {name: i for i, name in enumerate(names)}
    return {
        "names": names,
        "embedded": sorted(sounds),
        "beside": not workspace.remote,  # a local page can play the workspace's vocals
        "id": points["track_id"].tolist(),
        "title": points["label"].tolist(),
        "artist": points["artist"].tolist(),
        **{axis: [round(float(value), 4) for value in balanced(points[axis].to_numpy())] for axis in "xy"},
        "vocalist": [place.get(name, -1) for name in points["vocalist"]],
        "source": points["source"].tolist(),
        "probability": [number(value) for value in points["probability"]],
        "start": [round(float(value), 2) for value in points["start_s"]],
        "disagrees": [int(value) for value in points["disagrees"]],
    }


def balanced(values: np.ndarray) -> np.ndarray:
    """Return coordinates (n,) in [-0.5, 0.5] in the same order, half by value and half by rank.

    UMAP places groups without common neighbours far apart, which would squeeze all others into a corner of the page.
    """
    if len(values) < 2 or not np.ptp(values):
        return np.zeros(len(values))
    by_value = (values - values.min()) / np.ptp(values)
    by_rank = pd.Series(values).rank(pct=True).to_numpy()
    return (by_value + by_rank - np.min(by_rank)) / 2 - 0.5
