"""Lasting names: the `voice-0001`, ... of groups of tracks, kept from one clustering to the next.

Each group gets at most one of the names that its tracks had, chosen so that as many tracks as possible keep theirs (a
maximum-weight matching). A group gets a name only if it holds two of the tracks that had it, or more than half of those
that are still in the catalogue. A track in no group keeps its last name in reserve, so a voice that disappeared returns
under the same name. A name is never reused for another voice.

Jonker and Volgenant, "A shortest augmenting path algorithm for dense and sparse linear assignment problems" (Computing
38, 1987).
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from pipeline.store import tables
from pipeline.store.workspace import Workspace

PREFIX = "voice-"
STAYS = 2  # tracks of a name that have to be in one group for the group to get the name
NO_GROUP = -1
TIME = "datetime64[us, UTC]"


@dataclass(frozen=True)
class Named:
    """What became of the names.

    Attributes:
        voice: (n,) the name of each track's group; None if it is in no group.
        tracks: which name each track had, `since` when and `until` when, as in `voice_tracks/`.
        changes: as in `voice_changes/`.
    """

    voice: np.ndarray
    tracks: pd.DataFrame
    changes: pd.DataFrame


def named(workspace: Workspace, track_ids: ArrayLike, group: ArrayLike) -> tuple[np.ndarray, pd.DataFrame]:
    """Give groups of tracks their names, as `name_groups` does, and write `voice_tracks/` and `voice_changes/`.

    The changes are written first. If a run is killed before it has written the new names, the next run starts from the
    same names, and its changes take the place of those that are later than the names.

    Returns:
        The name (n,) of each track's group, None where it is in no group, and what has changed.
    """
    before = tables.read(workspace, "voice_tracks")
    since = before[["since", "until"]].max().max() if len(before) else pd.Timestamp(0, tz=UTC)
    at = max(pd.Timestamp.now(UTC), since + pd.Timedelta(1, "us"))
    found = name_groups(np.asarray(track_ids), np.asarray(group), before, at)
    tables.amend(workspace, "voice_changes", found.changes, lambda rows: pc.greater(rows["changed_at"], since))
    tables.replace(workspace, "voice_tracks", found.tracks)
    return found.voice, found.changes


def name_groups(track_ids: np.ndarray, group: np.ndarray, before: pd.DataFrame, at: datetime) -> Named:
    """Give each group of tracks its name.

    Args:
        track_ids: (n,) of all present tracks.
        group: (n,) int, `NO_GROUP` for none.
        before: `voice_tracks` as the previous grouping left it.
        at: the time of this grouping, later than all times in `before`.
    """
    before = before.astype({"since": TIME, "until": TIME})
    now = pd.DataFrame({"track_id": track_ids, "group": group})
    last = before.sort_values("since", kind="stable").drop_duplicates("track_id", keep="last")
    now["was"] = now["track_id"].map(last.set_index("track_id")["voice"])
    names = _handed_on(now)
    unnamed = now[(now["group"] != NO_GROUP) & ~now["group"].isin(names)]
    fresh = unnamed.groupby("group")["track_id"].agg(["size", "min"])
    given = before["voice"].map(number).max() if len(before) else 0
    for n, new in enumerate(fresh.sort_values(["size", "min"], ascending=[False, True]).index, int(given) + 1):
        names[int(new)] = f"{PREFIX}{n:04d}"
    now["voice"] = now["group"].map(names).astype(object).where(now["group"].isin(names), None)
    return Named(now["voice"].to_numpy(), _history(now, before, at), _changes(now, before, at))


def describe(changes: pd.DataFrame) -> str:
    """Return the `changes` as one sentence."""
    count = changes.groupby("change")["voice"].nunique()
    told = [f"{count[change]} {change}" for change in ("new", "back", "split", "merged", "gone") if change in count]
    return f"voices: {', '.join(told)}"


def number(voice: str) -> int:
    """Return the number in a voice's name."""
    return int(voice.removeprefix(PREFIX))


def _handed_on(now: pd.DataFrame) -> dict[int, str]:
    """Return the name of each group that keeps one; among equally good matchings, older names are kept."""
    named = now.dropna(subset="was")
    shared = named[named["group"] != NO_GROUP].groupby(["was", "group"]).size()
    there = named.groupby("was").size().reindex(shared.index.get_level_values("was")).to_numpy()
    shared = shared[(shared >= STAYS) | (2 * shared > there)].rename("n").reset_index()
    if not len(shared):
        return {}
    voices = pd.Index(sorted(shared["was"].unique(), key=number))
    groups = named[named["group"].isin(shared["group"])].groupby("group")["track_id"].min().sort_values().index
    row, column = voices.get_indexer(shared["was"]), groups.get_indexer(shared["group"])
    v, g = np.arange(len(voices)), len(groups)
    older = 0.25 * (1 - row / len(voices))
    # The matching has to be full, so each name has a place of its own that is worth less than any group.
    matrix = coo_array(
        (np.r_[shared["n"] + older, np.full(len(v), 0.5)], (np.r_[row, v], np.r_[column, g + v])),
        shape=(len(v), g + len(v)),
    )
    kept, taken = min_weight_full_bipartite_matching(matrix.tocsr(), maximize=True)
    return {int(groups[to]): voices[at] for at, to in zip(kept, taken, strict=True) if to < g}


def _history(now: pd.DataFrame, before: pd.DataFrame, at: datetime) -> pd.DataFrame:
    """Return `voice_tracks` after this grouping: with an end for what ended, and a row for what began."""
    voice = now.dropna(subset="voice").set_index("track_id")["voice"]
    still = before["until"].isna()
    ended = still & (before["track_id"].map(voice) != before["voice"])
    closed = before.assign(until=before["until"].mask(ended, pd.Timestamp(at)))
    begun = voice.drop(before.loc[still & ~ended, "track_id"]).sort_index().reset_index()
    rows = pd.concat([closed, begun], ignore_index=True)
    return rows.assign(since=rows["since"].fillna(pd.Timestamp(at)))


def _changes(now: pd.DataFrame, before: pd.DataFrame, at: datetime) -> pd.DataFrame:
    """Return a row for each voice that is new, returned or ended, and for each group of tracks that changed voice.

    A voice that ended has `merged` into the voice that now has more than half of its tracks; if none has, it is `gone`.
    """
    were = before[before["until"].isna()].set_index("track_id")["voice"]
    here = now.assign(was=now["track_id"].map(were)).dropna(subset="was")
    size, had, there = now.groupby("voice").size(), were.value_counts(), here.groupby("was").size()
    moved = here[here["voice"].notna() & (here["voice"] != here["was"])].groupby(["was", "voice"]).size()
    into = {was: voice for (was, voice), n in moved.items() if was not in size.index and 2 * n > there[was]}
    ever = set(before["voice"])
    rows = [
        ("back" if voice in ever else "new", voice, None, n)
        for voice, n in size.drop(had.index, errors="ignore").items()
    ]
    rows += [("gone", voice, None, n) for voice, n in had.drop([*size.index, *into], errors="ignore").items()]
    rows += [("merged" if into.get(was) == voice else "split", was, voice, n) for (was, voice), n in moved.items()]
    rows.sort(key=lambda row: (number(row[1]), row[2] or ""))
    return pd.DataFrame(rows, columns=["change", "voice", "other", "n_tracks"]).assign(changed_at=pd.Timestamp(at))
