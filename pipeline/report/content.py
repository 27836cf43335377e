"""The content of the page as plain rows and numbers from the workspace's tables, without any HTML.

A missing text is "", a missing number None. All sections use the frame that `tracks` returns.
"""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.store import tables
from pipeline.store.workspace import Workspace

TEXTS = ("title", "artist", "uri", "vocalist", "source", "file_artist")
STAGES = ("scan", "separate", "shard", "train", "embed", "cluster", "tag", "evaluate", "report", "export")
SHOWN_METRICS = ("eer", "mean_normalised_rank", "top1", "bcubed_f1", "ari")


def tracks(workspace: Workspace) -> pd.DataFrame:
    """Return a row per track of the catalogue, with its tag, its place on the map, and its vocals."""
    frame = tables.read(workspace, "tracks", ["track_id", "uri", "artist", "title", "duration_s"])
    frame = frame.drop_duplicates("track_id")
    columns = {
        "vocals": ["track_id", "vocals_uri", "has_vocals"],
        "clusters": ["track_id", "cluster_id", "x", "y"],
        "tags": [
            "track_id",
            "vocalist",
            "score",
            "probability",
            "source",
            "file_artist",
            "credit_probability",
            "disagrees",
        ],
    }
    for table, names in columns.items():
        frame = frame.merge(tables.read(workspace, table, names).drop_duplicates("track_id"), on="track_id", how="left")
    for name in TEXTS:
        frame[name] = frame[name].astype(object).where(frame[name].notna(), "")
    frame["disagrees"] = frame["disagrees"].eq(True)
    frame["label"] = [title or uri.rpartition("/")[2] for title, uri in zip(frame["title"], frame["uri"], strict=True)]
    return frame.sort_values("track_id").reset_index(drop=True)


def facts(workspace: Workspace, tracks: pd.DataFrame) -> dict[str, Any]:
    """Return the numbers at the top of the page."""
    named = tracks[tracks["source"].isin(["enrolled", "credited"])]
    grouped = tracks[tracks["source"] == "cluster"]
    # A cluster with the name of an enrolled vocalist is not counted twice.
    return {
        "tracks": len(tracks),
        "hours": float(tracks["duration_s"].fillna(0).sum()) / 3600,
        "sung": int(tracks["has_vocals"].eq(True).sum()),
        "instrumental": int(tracks["has_vocals"].eq(False).sum()),
        "known": int(named["vocalist"].nunique()),
        "named_tracks": len(named),
        "wrong_names": float((1 - named["probability"].fillna(1)).sum()),
        "voices": len(set(grouped["vocalist"]) - set(named["vocalist"])),
        "grouped_tracks": len(grouped),
        "unknown": int((tracks["source"] == "unknown").sum()),
        "disagrees": int(tracks["disagrees"].sum()),
        "failures": len(tables.read(workspace, "failures", ["stage"])),
    }


def vocalists(tracks: pd.DataFrame, max_rows: int) -> dict[str, Any]:
    """Return the vocalists, most tracks first: name, tracks, how they were found, mean probability, artist tags.

    `rows` has the first `max_rows` of them, `all` the name, tracks and probability of everyone, for the search field.
    """
    named = tracks[tracks["vocalist"] != ""]
    named = named.assign(known=named["source"] == "enrolled")
    grouped = named.groupby("vocalist").agg(
        tracks=("track_id", "size"),
        known=("known", "any"),
        probability=("probability", "mean"),
        disagrees=("disagrees", "sum"),
    )
    found = grouped.rename_axis("name").reset_index().sort_values(["tracks", "name"], ascending=[False, True])
    first = found.head(max_rows)
    of_first = dict(list(named[named["vocalist"].isin(first["name"])].groupby("vocalist")))
    most = int(found["tracks"].max()) if len(found) else 1
    rows = [
        row
        | {"probability": number(row["probability"]), "share": row["tracks"] / most}
        | _artists_of(of_first[row["name"]])
        for row in first.to_dict("records")
    ]
    return {"rows": rows, "total": len(found), "all": _columns(found[["name", "tracks", "probability"]])}


def _artists_of(group: pd.DataFrame) -> dict[str, Any]:
    """Return a vocalist's artist tags, and the track that is most certainly theirs."""
    artists = group.loc[group["artist"] != "", "artist"].value_counts()
    best = group.sort_values(["probability", "track_id"], ascending=[False, True])
    return {
        "artists": list(artists.index[:3]),
        "more_artists": max(0, len(artists) - 3),
        "track_id": best["track_id"].iloc[0],
    }


def disagreements(tracks: pd.DataFrame, max_rows: int) -> dict[str, Any]:
    """Return the tracks whose artist tag is very likely wrong, the most certain first.

    `rows` has the first `max_rows` of them, `all` four columns of every one, for the search field.
    """
    found = tracks[tracks["disagrees"]]
    found = found.assign(wrong=1 - found["credit_probability"].astype(float))
    found = found.sort_values(["wrong", "track_id"], ascending=[False, True])
    rows = found.head(max_rows)[["track_id", "label", "file_artist", "vocalist", "wrong", "uri"]]
    return {
        "rows": [row | {"wrong": number(row["wrong"])} for row in rows.to_dict("records")],
        "total": len(found),
        "all": _columns(found[["label", "file_artist", "vocalist", "wrong"]]),
    }


def _columns(frame: pd.DataFrame) -> dict[str, list]:
    """Return a frame's columns as lists for JSON."""
    return {
        name: [number(value) for value in column] if column.dtype.kind == "f" else column.tolist()
        for name, column in frame.items()
    }


def failures(workspace: Workspace, max_rows: int) -> dict[str, Any]:
    """Return failures by stage and class, each with its items (name of file or key, message)."""
    frame = tables.read(workspace, "failures", ["stage", "key", "track_id", "uri", "error", "message"])
    groups = []
    for (stage, error), group in frame.groupby(["stage", "error"], sort=False, dropna=False):
        items = [
            {
                "uri": row.uri or row.key or "",
                "name": (row.uri or row.key or "").rpartition("/")[2],
                "message": row.message or "",
            }
            for row in group.head(max_rows).itertuples()
        ]
        groups.append({"stage": stage, "error": error, "total": len(group), "rows": items})
    groups.sort(key=lambda group: (_stage_order(group["stage"]), -group["total"]))
    return {"groups": groups, "total": len(frame)}


def runs(workspace: Workspace) -> dict[str, Any]:
    """Return the totals of each stage's runs (seconds, counts of items), and the status of its last run."""
    columns = ["stage", "started_at", "seconds", "status", "done", "unit", "failed", "message"]
    frame = tables.read(workspace, "runs", columns).fillna({"unit": "", "message": ""})
    frame = frame[frame["status"] != "started"]  # this run, and those that were killed
    rows = []
    for stage, group in frame.sort_values("started_at").groupby("stage"):
        last = group.iloc[-1]
        rows.append(
            {
                "stage": stage,
                "runs": len(group),
                "seconds": float(group["seconds"].sum()),
                "done": int(group["done"].sum()),
                "unit": last["unit"],
                "failed": int(group["failed"].sum()),
                "status": last["status"],
                "message": last["message"],
            }
        )
    rows.sort(key=lambda row: _stage_order(row["stage"]))
    longest = max((row["seconds"] for row in rows), default=0.0) or 1.0
    return {
        "rows": [row | {"share": row["seconds"] / longest} for row in rows],
        "seconds": sum(row["seconds"] for row in rows),
    }


def evaluation(workspace: Workspace, max_rows: int) -> dict[str, Any]:
    """Return the evaluation: a row per encoder, set, task and condition, and a column per metric with its interval."""
    frame = tables.read(workspace, "evaluation")
    frame = frame[frame["metric"].isin(SHOWN_METRICS)]
    metrics = [name for name in SHOWN_METRICS if name in set(frame["metric"])]
    rows = []
    by = ["set", "task", "condition", "encoder"]
    for name in by:  # in the order of evaluation, encoders next to each other
        frame = frame.assign(**{name: pd.Categorical(frame[name], frame[name].unique())})
    for keys, group in frame.groupby(by, observed=True):
        cells = {
            row.metric: {"value": number(row.value), "low": number(row.low), "high": number(row.high)}
            for row in group.itertuples()
        }
        rows.append(dict(zip(by, keys, strict=True), cells=cells))
    return {"metrics": metrics, "rows": rows[:max_rows], "total": len(rows)}


def _stage_order(stage: str) -> int:
    return STAGES.index(stage) if stage in STAGES else len(STAGES)


def number(value: Any) -> float | None:
    """Return a finite number rounded to four digits, or None; a number below 1 is not rounded up to 1."""
    if value is None or not np.isfinite(value):
        return None
    rounded = round(float(value), 4)
    return 0.9999 if rounded == 1 and value < 1 else rounded
