"""Whom an artist tag and a title credit: the artists, their guests, and nobody for "Various Artists".

Text alone cannot say whether "Earth, Wind & Fire" is three people or one band. `credits` gives every reading of one
track: what is sure (`Ann feat. Bob` is Ann and Bob) and what is possible (of `Ann & Bob` the whole and the parts).
`of_catalogue` keeps the readings that the catalogue bears out.
"""

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pandas as pd

from pipeline.people.names import display, is_nobody, key, written

OPEN, CLOSE = r"(\[（【", r")\]）】"

# Between people for sure; not the Feat of "Little Feat", nor a title's "6 ft. Under" or "The Feat of Strength".
GUEST = (
    rf"(?i:(?:^|(?<!\d)[\s{OPEN}]+)(?:feat|ft|featuring|при участии|con la participación de)\b[.:]?\s*"
    rf"(?=[\w\"'$¡†])(?!(?:feat|ft|of)\b))"
)
SURE = re.compile(rf"\s*[;；\0\n]\s*|{GUEST}")

# Between people, or within one name. `y` is Spanish, Y an initial; the X of "Malcolm X" links nothing.
SIGN = rf"[&＆+＋,，、،・･·•/／|｜×✕✖{OPEN}{CLOSE}]"
LINK = (
    r"(?i:and|with|w/|vs|versus|presents|pres|introduces|meets|x|et|avec|und|mit|con|com|og|och|med|met|ve|ile|"
    r"oraz|și|та|και|με|와|과|和|与|與|と)\.?|y|e|i|и|і|с"
)
POSSIBLE = re.compile(rf"\s*{SIGN}\s*|\s+(?:{LINK})\s+(?=[\w\"'$¡†])(?!(?:{LINK})\s)")

TITLE_GUEST = re.compile(rf"{GUEST}(?P<names>[^{OPEN}{CLOSE}]+?)(?=\s+[-–—]\s|\s+prod\b|[{OPEN}{CLOSE}]|$)")
# Perhaps: "(with Bob)", but also "Dancing (With Myself)".
TITLE_WITH = re.compile(
    rf"(?i:[{OPEN}]\s*(?:(?:duet|duett|duo|dúo) )?(?:with|w/|avec|mit|con|com|med|met|с)\s+)"
    rf"(?P<names>[^{OPEN}{CLOSE}]+)"
)
MAY_NAME = re.compile(rf"f(?:ea)?t|участ|particip|[{OPEN}]", re.IGNORECASE)  # without it, a title credits nobody


@dataclass(frozen=True)
class Credit:
    """A person whom a track credits: the `key` that all spellings share, and the name as it stands there.

    `sure` says that the text can be read in no other way.
    """

    key: str
    name: str
    sure: bool


@dataclass(frozen=True)
class _Reading:
    """A stretch of text that names somebody: as a `whole`, or each of its `parts`, if it has more than one."""

    whole: Credit
    parts: tuple[Credit, ...]


def credits(artist: str | None, title: str | None = None) -> tuple[Credit, ...]:
    """Return everybody whom a track may credit, each once, in the order of the text.

    Args:
        artist: the artist tag; several values are separated by `; `.
        title: whose "(feat. …)" names guests.
    """
    found: dict[str, Credit] = {}
    for reading in _read(artist, title):
        for credit in (reading.whole, *reading.parts):
            if credit.key not in found or (credit.sure and not found[credit.key].sure):
                found[credit.key] = credit
    return tuple(found.values())


def of_catalogue(tracks: pd.DataFrame, known: Iterable[str] = ()) -> pd.DataFrame:
    """Return the credits of a catalogue, a row per track and person: `track_id`, `key`, `name`.

    A possible reading counts where it is borne out: the person is credited for sure elsewhere, is part of two
    different tags, or is a known name. A whole counts unless all of its parts do. Names are written as they are most.

    Args:
        tracks: `track_id`, `artist`, `title`; missing texts are null.
        known: names that the owner gives.
    """
    readings = [_read(artist, title) for artist, title in zip(tracks["artist"], tracks["title"], strict=True)]
    seen = {reading for found in readings for reading in found}
    alone = {key(name) for name in known} | {reading.whole.key for reading in seen if reading.whole.sure}
    wholes: dict[str, set[str]] = {}
    for reading in seen:
        for part in reading.parts:
            wholes.setdefault(part.key, set()).add(reading.whole.key)
    alone |= {part for part, tags in wholes.items() if len(tags) > 1}
    rows = [
        (track_id, credit.key, credit.name)
        for track_id, found in zip(tracks["track_id"], readings, strict=True)
        for reading in found
        for credit in _borne_out(reading, alone)
    ]
    frame = pd.DataFrame(rows, columns=["track_id", "key", "name"])
    return frame.assign(name=frame["key"].map(written(frame["name"]))).drop_duplicates(ignore_index=True)


def _borne_out(reading: _Reading, alone: set[str]) -> Iterator[Credit]:
    parts = [part for part in reading.parts if part.key in alone]
    if (reading.parts and len(parts) < len(reading.parts)) or reading.whole.sure or reading.whole.key in alone:
        yield reading.whole
    yield from parts


def _read(artist: str | None, title: str | None) -> tuple[_Reading, ...]:
    return (_read_artist(artist) if isinstance(artist, str) else ()) + (
        _read_title(title) if isinstance(title, str) else ()
    )


@functools.lru_cache(maxsize=2**16)
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
        if is_nobody(text) or not people:
            continue
        if len(people) < len(pieces):  # "Ann & Unknown Artist" is not a duo
            yield from _readings(people, sure)
            continue
        parts = {key(piece): Credit(key(piece), display(piece), False) for piece in pieces}
        others = tuple(parts.values()) if len(parts) > 1 else ()
        yield _Reading(Credit(key(text), display(text), sure and not others), others)


def _without_stray_bracket(text: str) -> str:
    """Return a text without the bracket that was opened before it ("Ann (feat. Bob)" is split within)."""
    text = text.strip()
    for opened, closed in zip("([（【", ")]）】", strict=True):
        if text.endswith(closed) and text.count(closed) > text.count(opened):
            text = text[:-1].rstrip()
    return text
