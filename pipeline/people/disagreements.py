"""Artist tags that contradict the vocalist who was found."""

from collections import Counter
from collections.abc import Iterable, Mapping

import pandas as pd

from pipeline.people.credits import credits


def people(artist: str | None, title: str | None = None) -> frozenset[str]:
    """Return the keys of everybody whom an artist tag and a title may mean; empty where they name nobody."""
    return frozenset(credit.key for credit in credits(artist, title))


def disagreements(vocalists: pd.Series, artists: pd.Series, titles: pd.Series,
                  known: Mapping[str, Iterable[str]]) -> pd.Series:
    """Say for each track whether its artist tag contradicts the vocalist that was found.

    A vocalist is expected under the own name and the artists of the known tracks (a singer's band). Where that
    fits no tag at all, and for `voice-...`, it is the artist that most of the vocalist's tracks bear, if two or
    more do. Where nothing is expected, nothing is contradicted.

    Args:
        vocalists: (n,) name or null. artists: (n,) artist tag or null. titles: (n,) title or null, for its guests.
        known: name of each enrolled vocalist -> artist tags of the tracks that were given for it.
    """
    frame = pd.DataFrame({"vocalist": vocalists.to_numpy(), "artist": artists.to_numpy(), "title": titles.to_numpy()})
    frame["people"] = [people(artist, title) for artist, title in zip(artists, titles, strict=True)]
    result = pd.Series(False, index=frame.index)
    tagged = frame[frame["vocalist"].notna() & frame["artist"].map(lambda artist: bool(people(artist)))]
    for vocalist, rows in tagged.groupby("vocalist", sort=False):
        expected: frozenset[str] = frozenset()
        if vocalist in known:
            expected = people(str(vocalist)).union(*(people(artist) for artist in known[str(vocalist)]))
        if not any(named & expected for named in rows["people"]):
            expected |= _majority(rows["people"])
        if expected:
            result[rows.index] = [not (named & expected) for named in rows["people"]]
    return result.set_axis(vocalists.index)


def _majority(tracks: Iterable[frozenset[str]]) -> frozenset[str]:
    """Return the people whom more than half of the tracks name, and at least two do."""
    tracks = list(tracks)
    votes = Counter(person for named in tracks for person in named)
    return frozenset(person for person, count in votes.items() if count >= 2 and 2 * count > len(tracks))
