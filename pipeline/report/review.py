"""What to listen to next, on the page: a question for each of the first rows of `review/`."""

from typing import Any

import pandas as pd

from pipeline.report.content import number
from pipeline.stages import review
from pipeline.store import tables
from pipeline.store.workspace import Workspace

SHOWN = 20  # questions on the page
NAMES = 500  # suggested while a name is typed


def read(workspace: Workspace) -> pd.DataFrame:
    """Return the rows of `review/` that the page asks about, best first."""
    return tables.read(workspace, "review").sort_values("rank").head(SHOWN).reset_index(drop=True)


def questions(workspace: Workspace, asked: pd.DataFrame, tracks: pd.DataFrame) -> dict[str, Any]:
    """Return a row for each question, the number of rows of `review/`, and the names of this workspace's vocalists.

    Args:
        workspace: of the tracks.
        asked: from `read`.
        tracks: from `content.tracks`.
    """
    about = tracks.set_index("track_id")
    rows = []
    for row in asked[asked["track_id"].isin(about.index)].itertuples():
        track = about.loc[row.track_id]
        rows.append(
            {
                "track_id": row.track_id,
                "label": track["label"],
                "uri": track["uri"],
                "artist": track["artist"],
                "vocalist": track["vocalist"],
                "why": _why(row.reason, track["vocalist"], track["artist"]),
                "settles": _settles(row.settles, row.n_tracks),
                "candidates": [(name, number(p)) for name, p in zip(row.candidates, row.probabilities, strict=True)],
            }
        )
    named = tracks.loc[tracks["source"].isin(review.NAMED), "vocalist"].value_counts()
    total = sum(len(part) for part in tables.iter_arrow(workspace, "review", ["rank"]))
    return {"rows": rows, "total": total, "names": sorted(named.index[:NAMES])}


def _why(reason: str, vocalist: str, artist: str) -> str:
    """Return the reason for a question, in words."""
    return {
        review.KNOWN: f"Given as {vocalist}, but unlike the other tracks given for that name",
        review.CREDIT: f"Tagged {artist}, which is likely wrong",
        review.TWO_NAMES: "Two names are likely",
        review.LIKELY_NAME: "One name is likely, but not sure enough",
    }.get(reason, f"The voice {vocalist} has no name yet" if vocalist else "This voice has no name yet")


def _settles(settles: float, n_tracks: int) -> str:
    """Return how much an answer settles, in words."""
    n = round(settles)
    return f"an answer settles about {n} of {n_tracks} tracks" if n > 1 else "an answer settles this track"
