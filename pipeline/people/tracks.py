"""Find the track of the catalogue that an id or a path in a list stands for.

A path may be absolute, relative to the list or to the working directory, or the end of a path. If no file matches
exactly, Unicode form, case and the kind of slashes are ignored, and so is where the catalogue is mounted: a file then
matches if the written path ends with the file's whole path below the catalogue's folder.
"""

import bisect
import difflib
import os
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.store.errors import Problem
from pipeline.store.locations import is_remote
from pipeline.store.uris import resolve

NEAREST = 10  # unmatched paths for which the nearest file is suggested
BESIDE = 100  # alphabetical neighbours on each side, read forwards and backwards, that a name is compared with


@dataclass(frozen=True)
class Found:
    """The matching tracks (one, if all is well), or the most similar file if there is none and one is similar."""

    track_ids: frozenset[str]
    nearest: str | None = None


@dataclass(frozen=True)
class _File:
    track_id: str
    uri: str
    folded: str
    below: str  # folded, below the folder that all files of the catalogue share


def candidates(track: str, list_path: str | None) -> list[str]:
    """Return the URIs that a track written in the list at `list_path` may stand for."""
    folders = [os.getcwd()]
    if list_path is not None:
        beside = list_path.rpartition("/")[0] if is_remote(list_path) else str(Path(list_path).absolute().parent)
        folders.insert(0, beside)
    try:
        return list(dict.fromkeys(resolve(track, folder) for folder in folders))
    except Problem:
        return []


def find_tracks(written: Sequence[str], files: pd.DataFrame, list_path: str | None = None) -> list[Found]:
    """Find the track of each id or path.

    Args:
        files: `track_id` and `uri` of every file of the catalogue, duplicates too.
        list_path: the list that holds the paths.
    """
    ids = set(files["track_id"].tolist())
    meant = [candidates(track, list_path) or [track] for track in written]
    wanted = {_name(uris[0]) for track, uris in zip(written, meant, strict=True) if track not in ids}
    by_name = _by_name(files, wanted) if wanted else {}
    fitting = [
        {track} & ids or _fitting(track, set(uris), by_name.get(_name(uris[0]), []))
        for track, uris in zip(written, meant, strict=True)
    ]
    lost = [track for track, track_ids in zip(written, fitting, strict=True) if not track_ids][:NEAREST]
    nearest = _nearest(lost, files["uri"]) if lost else {}
    return [Found(frozenset(track_ids), nearest.get(track)) for track, track_ids in zip(written, fitting, strict=True)]


def _nearest(written: Sequence[str], uris: Iterable[str]) -> dict[str, str]:
    """Return for each path the URI with the most similar file name, if any is similar at all."""
    names = {_name(uri): uri for uri in uris}
    forwards, backwards = sorted(names), sorted(name[::-1] for name in names)
    found = {}
    for track in written:
        name = _name(track)
        beside = _beside(name, forwards) + [other[::-1] for other in _beside(name[::-1], backwards)]
        if near := difflib.get_close_matches(name, dict.fromkeys(beside), 1):
            found[track] = names[near[0]]
    return found


def _beside(name: str, names: list[str]) -> list[str]:
    at = bisect.bisect(names, name)
    return names[max(0, at - BESIDE) : at + BESIDE]


def _by_name(files: pd.DataFrame, wanted: set[str]) -> dict[str, list[_File]]:
    """Return the files that have a wanted name, by name."""
    roots = {
        scheme: _shared_folder(uris.min(), uris.max())
        for scheme, uris in files["uri"].groupby(files["uri"].str.extract(r"^(\w+)://", expand=False).fillna(""))
    }
    by_name: dict[str, list[_File]] = {}
    for track_id, uri in zip(files["track_id"], files["uri"], strict=True):
        name = _name(uri)
        if name in wanted:
            root = roots[uri.partition("://")[0] if "://" in uri else ""]
            by_name.setdefault(name, []).append(_File(track_id, uri, _fold(uri), _fold(uri[len(root) :].lstrip("/"))))
    return by_name


def _shared_folder(first: str, last: str) -> str:
    """Return the folder that two paths, and all that sort between them, share."""
    shared = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:shared].rpartition("/")[0]


def _fitting(track: str, exact: set[str], files: list[_File]) -> set[str]:
    """Return the tracks of the files that match a written path, by the strictest rule under which any does."""
    end = "/" + track.removeprefix("./").lstrip("/")
    folded, folded_end = set(map(_fold, exact)), "/" + _fold(end).lstrip("/")
    rules: list[Callable[[_File], bool]] = [
        lambda file: file.uri in exact,
        lambda file: ("/" + file.uri).endswith(end),
        lambda file: file.folded in folded,
        lambda file: ("/" + file.folded).endswith(folded_end),
        lambda file: folded_end.endswith("/" + file.below),
    ]
    return next((tracks for rule in rules if (tracks := {file.track_id for file in files if rule(file)})), set())


def _name(path: str) -> str:
    return _fold(path.replace("\\", "/").rpartition("/")[2])


def _fold(path: str) -> str:
    """Return a path without what differs between systems: case, Unicode form, and the kind of slashes."""
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold().replace("\\", "/"))
    return "/".join(part for part in plain.split("/") if part != ".")
