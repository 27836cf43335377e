"""Names of people: which tracks a few known names belong to, and when two names are one person's.

Known names are a CSV with a column `vocalist` and one that says the track: `track`, `track_id`, `path`, `uri` or
`file`. A track is its `track_id`, its URI, a path (as written, relative to the CSV, or relative to the present
folder), or the end of a path if only one track has it.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.store.errors import ConfigError
from pipeline.store.workspace import is_remote, open_filesystem

TRACK_COLUMNS = ("track", "track_id", "path", "uri", "file")
NOBODY = {"various artists", "various", "va", "unknown", "unknown artist", "artist", "soundtrack", "n a"}
SEPARATORS = re.compile(
    r"\s*(?:;|/|,|&|\+|\band\b|\bwith\b|\bvs\b\.?|\bx\b|\(?\b(?:feat|ft|featuring)\b\.?)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Known:
    """The known names that were found in the catalogue, and what could not be used."""

    vocalists: dict[str, str]   # track_id -> name
    missing: tuple[str, ...]    # tracks as the CSV writes them, that the catalogue does not hold
    ambiguous: tuple[str, ...]  # tracks that were given two names, or that fit several tracks


def read_known(path: str) -> pd.DataFrame:
    """Return the known names: `track` as written, `vocalist`, both stripped and not empty.

    Raises:
        ConfigError: the CSV cannot be read, or lacks a column.
    """
    fs, inner = open_filesystem(path)
    try:
        with fs.open_input_stream(inner) as source:
            # As text: a track_id of digits alone is no number.
            frame = pd.read_csv(source, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # pandas' own errors, and text that is no UTF-8, are ValueErrors
        raise ConfigError(f"cannot read the known names {path}: {error}") from error
    column = next((name for name in TRACK_COLUMNS if name in frame.columns), None)
    if column is None or "vocalist" not in frame.columns:
        raise ConfigError(f"the known names {path} need the columns track and vocalist; "
                          f"there are {', '.join(map(str, frame.columns))}")
    frame = pd.DataFrame({"track": frame[column], "vocalist": frame["vocalist"]})
    frame = frame.apply(lambda values: values.str.strip())
    return frame[(frame["track"] != "") & (frame["vocalist"] != "")].reset_index(drop=True)


def candidates(track: str, known_path: str) -> list[str]:
    """Return the URIs that `track`, as the CSV at `known_path` writes it, may stand for."""
    if is_remote(track) or track.startswith("/"):
        return [track]
    folder = known_path.rpartition("/")[0] if is_remote(known_path) else str(Path(known_path).absolute().parent)
    return [f"{folder}/{track}", str(Path(track).absolute())]


def match_known(known: pd.DataFrame, known_path: str, files: pd.DataFrame) -> Known:
    """Find the tracks of known names.

    Args:
        known: as `read_known` gives it.
        files: `track_id` and `uri` of every file of the catalogue, duplicates too.
    """
    bases = {track.rpartition("/")[2] for track in known["track"]}
    files = files[files["uri"].str.rpartition("/")[2].isin(bases) | files["track_id"].isin(set(known["track"]))]
    ids = set(files["track_id"])
    by_uri = dict(zip(files["uri"], files["track_id"], strict=True))
    names: dict[str, set[str]] = {}
    missing, ambiguous = [], []
    for track, vocalist in zip(known["track"], known["vocalist"], strict=True):
        found = {track} & ids or {by_uri[uri] for uri in candidates(track, known_path) if uri in by_uri}
        if not found:
            end = "/" + track.removeprefix("./").lstrip("/")
            found = {track_id for uri, track_id in by_uri.items() if ("/" + uri).endswith(end)}
        if not found:
            missing.append(track)
        elif len(found) > 1 or names.get(next(iter(found)), {vocalist}) != {vocalist}:
            ambiguous.append(track)
        for track_id in found if len(found) == 1 else ():
            names.setdefault(track_id, set()).add(vocalist)
    sure = {track_id: next(iter(given)) for track_id, given in names.items() if len(given) == 1}
    return Known(sure, tuple(missing), tuple(ambiguous))


def normalise(name: str) -> str:
    """Return a name without case, accents, punctuation, a leading "the", or the order of its words."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    words = re.sub(r"[^\w]+|_", " ", plain).split()
    return " ".join(sorted(word for word in words if word != "the") or words)


def people(artist: str | None) -> frozenset[str]:
    """Return the normalised names that an artist tag may mean: the whole, and each of "A & B feat. C".

    Empty where the tag names nobody ("Various Artists", nothing).
    """
    if not isinstance(artist, str) or normalise(artist) in {normalise(name) for name in NOBODY} | {""}:
        return frozenset()
    parts = [artist, *SEPARATORS.split(artist)]
    return frozenset(filter(None, map(normalise, parts)))


def disagreements(vocalists: pd.Series, artists: pd.Series, known: Mapping[str, Iterable[str]]) -> pd.Series:
    """Say for each track whether its artist tag contradicts the vocalist that was found.

    A vocalist is expected under the own name and the artists of the known tracks (a singer's band). Where that
    fits no tag at all, and for `voice-...`, it is the artist that most of the vocalist's tracks bear, if two or
    more do. Where nothing is expected, nothing is contradicted.

    Args:
        vocalists: (n,) name or null. artists: (n,) artist tag or null.
        known: name of each enrolled vocalist -> artist tags of the tracks that were given for it.
    """
    frame = pd.DataFrame({"vocalist": vocalists.to_numpy(), "artist": artists.to_numpy()})
    meant = {artist: people(artist) for artist in frame["artist"].dropna().unique()}
    result = pd.Series(False, index=frame.index)
    tagged = frame[frame["vocalist"].notna() & frame["artist"].map(lambda artist: bool(meant.get(artist)))]
    for vocalist, rows in tagged.groupby("vocalist", sort=False):
        expected: frozenset[str] = frozenset()
        if vocalist in known:
            expected = people(str(vocalist)).union(*(people(artist) for artist in known[str(vocalist)]))
        if not any(meant[artist] & expected for artist in rows["artist"]):
            expected |= _majority(rows["artist"], meant)
        if expected:
            result[rows.index] = [not (meant[artist] & expected) for artist in rows["artist"]]
    return result.set_axis(vocalists.index)


def _majority(artists: pd.Series, meant: dict[str, frozenset[str]]) -> frozenset[str]:
    """Return the names that more than half of the tags mean, and at least two do."""
    votes: dict[str, int] = {}
    for artist, count in artists.value_counts().items():
        for name in meant[str(artist)]:
            votes[name] = votes.get(name, 0) + int(count)
    return frozenset(name for name, count in votes.items() if count >= 2 and 2 * count > len(artists))
