"""The people whom an artist tag and a title credit: artists and guests, and nobody for "Various Artists".

The text alone does not tell whether "Earth, Wind & Fire" is three people or one band. `credits` returns every reading
of one track: those that are certain (`Ann feat. Bob` is Ann and Bob) and those that are possible (`Ann & Bob` as a
whole, and Ann and Bob). `of_catalogue` keeps the possible readings that the rest of the catalogue supports.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.people.names import display, is_nobody, key

OPEN, CLOSE = r"(\[（【", r")\]）】"
CLOSED = tuple(")]）】")

# Certainly separates people; but not the Feat of "Little Feat", nor a title's "6 ft. Under" or "The Feat of Strength".
GUEST = (
    rf"(?i:(?:^|(?<!\d)[\s{OPEN}]+)(?:feat|ft|featuring|при участии|con la participación de)\b[.:]?\s*"
    rf"(?=[\w\"'$¡†])(?!(?:feat|ft|of)\b))"
)
SURE = re.compile(rf"\s*[;；\0\n]\s*|{GUEST}")

# Separates people or is part of one name. `y` is Spanish, Y an initial; the X of "Malcolm X" links nothing.
SIGN = rf"[&＆+＋,，、،・･·•/／|｜×✕✖{OPEN}{CLOSE}]"
LINK = (
    r"(?i:and|with|w/|vs|versus|presents|pres|introduces|meets|x|et|avec|und|mit|con|com|og|och|med|met|ve|ile|"
    r"oraz|și|та|και|με|와|과|和|与|與|と)\.?|y|e|i|и|і|с"
)
POSSIBLE = re.compile(rf"\s*{SIGN}\s*|\s+(?:{LINK})\s+(?=[\w\"'$¡†])(?!(?:{LINK})\s)")

TITLE_GUEST = re.compile(rf"{GUEST}(?P<names>[^{OPEN}{CLOSE}]+?)(?=\s+[-–—]\s|\s+prod\b|[{OPEN}{CLOSE}]|$)")
# Possibly a guest: "(with Bob)", but also "Dancing (With Myself)".
TITLE_WITH = re.compile(
    rf"(?i:[{OPEN}]\s*(?:(?:duet|duett|duo|dúo) )?(?:with|w/|avec|mit|con|com|med|met|с)\s+)"
    rf"(?P<names>[^{OPEN}{CLOSE}]+)"
)
MAY_NAME = re.compile(rf"f(?:ea)?t|участ|particip|[{OPEN}]", re.IGNORECASE)  # else a title credits nobody


@dataclass(frozen=True)
class Credit:
    """A person whom a track credits: the `key` that all spellings share, and the name as the track spells it.

    `sure` means that the text can be read in no other way.
    """

    key: str
    name: str
    sure: bool


@dataclass(frozen=True)
class _Reading:
    """A piece of text that names one person as a `whole`, or several as its `parts` where it has more than one."""

    whole: Credit
    parts: tuple[Credit, ...]


def credits(artist: str | None, title: str | None = None) -> tuple[Credit, ...]:
    """Return everybody whom a track may credit, each once, in the order of the text.

    Args:
        artist: the artist tag; several values are separated by `; `.
        title: of the track; its "(feat. …)" names guests.
    """
    found: dict[str, Credit] = {}
    for reading in _read(artist, title):
        for credit in (reading.whole, *reading.parts):
            if credit.key not in found or (credit.sure and not found[credit.key].sure):
                found[credit.key] = credit
    return tuple(found.values())


def of_catalogue(tracks: pd.DataFrame, known: Iterable[str] = ()) -> pd.DataFrame:
    """Return the credits of a catalogue, a row per track and person: `track_id`, `key`, `name`.

    A possible reading counts where something supports it: the person is certainly credited elsewhere, is part of two
    different tags, or is a known name. A whole counts unless all of its parts do. Each name has its most frequent
    spelling.

    Args:
        tracks: `track_id`, `artist`, `title`; missing texts are null.
        known: names from the list of known names.
    """
    titles = tracks["title"].to_numpy(object)
    guests = [isinstance(title, str) and bool(MAY_NAME.search(title)) for title in titles]
    texts = pd.DataFrame({"artist": tracks["artist"], "title": tracks["title"].where(guests)})
    which = texts.groupby(["artist", "title"], dropna=False, sort=False).ngroup().to_numpy()
    distinct = texts.iloc[np.unique(which, return_index=True)[1]]
    readings = [_read(artist, title) for artist, title in distinct.to_numpy(object)]
    seen = {reading for found in readings for reading in found}
    alone = {key(name) for name in known} | {reading.whole.key for reading in seen if reading.whole.sure}
    wholes: dict[str, set[str]] = {}
    for reading in seen:
        for part in reading.parts:
            wholes.setdefault(part.key, set()).add(reading.whole.key)
    alone |= {part for part, tags in wholes.items() if len(tags) > 1}
    people = pd.DataFrame(
        [
            (text, credit.key, credit.name)
            for text, found in enumerate(readings)
            for reading in found
            for credit in _borne_out(reading, alone)
        ],
        columns=["text", "key", "name"],
    ).astype({"text": int})
    people["name"] = people["key"].map(_written(people, np.bincount(which, minlength=len(readings))))
    credited = tracks[["track_id"]].assign(text=which).merge(people.drop_duplicates(), on="text")
    return credited[["track_id", "key", "name"]]


def _written(people: pd.DataFrame, n_tracks: np.ndarray) -> pd.Series:
    """Return the most frequent spelling of each person's name, by key; the first of equally frequent ones.

    Args:
        people: `text`, `key` and `name` of everybody whom a distinct text credits.
        n_tracks: (texts,) with each text.
    """
    forms = people.assign(n=n_tracks[people["text"]]).groupby(["key", "name"], sort=False)["n"].sum().reset_index()
    return forms.sort_values("n", ascending=False, kind="stable").drop_duplicates("key").set_index("key")["name"]


def _borne_out(reading: _Reading, alone: set[str]) -> Iterator[Credit]:
    parts = [part for part in reading.parts if part.key in alone]
    if (reading.parts and len(parts) < len(reading.parts)) or reading.whole.sure or reading.whole.key in alone:
        yield reading.whole
    yield from parts


def _read(artist: str | None, title: str | None) -> tuple[_Reading, ...]:
    return (_read_artist(artist) if isinstance(artist, str) else ()) + (
        _read_title(title) if isinstance(title, str) else ()
    )


def _read_artist(artist: str) -> tuple[_Reading, ...]:
    return tuple(_readings(SURE.split(artist), sure=True))


def _read_title(title: str) -> tuple[_Reading, ...]:
    if not MAY_NAME.search(title):
        return ()
    return tuple(
        reading
        for pattern, sure in ((TITLE_GUEST, True), (TITLE_WITH, False))
        for reading in _readings((found["names"] for found in pattern.finditer(title)), sure)
    )


def _readings(texts: Iterable[str], sure: bool) -> Iterator[_Reading]:
    for text in map(_without_stray_bracket, texts):
        pieces = [piece for piece in POSSIBLE.split(text) if piece]
        people = [piece for piece in pieces if not is_nobody(piece)]
        if not people or (pieces != [text] and is_nobody(text)):
            continue
        if len(people) < len(pieces):  # "Ann & Unknown Artist" is not a duo
            yield from _readings(people, sure)
            continue
        several = pieces if len(pieces) > 1 else []
        parts = {key(piece): Credit(key(piece), display(piece), False) for piece in several}
        others = tuple(parts.values()) if len(parts) > 1 else ()
        yield _Reading(Credit(key(text), display(text), sure and not others), others)


def _without_stray_bracket(text: str) -> str:
    """Return a text without a closing bracket whose opening one was split off, as in "Ann (feat. Bob)"."""
    text = text.strip()
    if not text.endswith(CLOSED):
        return text
    for opened, closed in zip("([（【", CLOSED, strict=True):
        if text.endswith(closed) and text.count(closed) > text.count(opened):
            text = text[:-1].rstrip()
    return text
