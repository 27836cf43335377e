"""Who is credited by an artist tag and a title."""

import pandas as pd
import pytest

from pipeline.people.credits import credits, of_catalogue


def names(artist: str | None, title: str | None = None) -> list[str]:
    return [credit.name for credit in credits(artist, title)]


def sure(artist: str | None, title: str | None = None) -> list[str]:
    return [credit.name for credit in credits(artist, title) if credit.sure]


def test_a_duo_with_a_guest_gives_every_name():
    assert names("A & B feat. C") == ["A & B", "A", "B", "C"]
    assert sure("A & B feat. C") == ["C"]


@pytest.mark.parametrize(
    "artist",
    [
        "Ann & Bob",
        "Ann＆Bob",
        "Ann × Bob",
        "Ann x Bob",
        "Ann X Bob",
        "Ann、Bob",
        "Ann・Bob",
        "Ann | Bob",
        "Ann/Bob",
        "Ann + Bob",
        "Ann, Bob",
        "Ann and Bob",
        "Ann et Bob",
        "Ann und Bob",
        "Ann y Bob",
        "Ann con Bob",
        "Ann e Bob",
        "Ann и Bob",
        "Ann och Bob",
        "Ann presents Bob",
        "Ann vs. Bob",
        "Ann with Bob",
        "Ann w/ Bob",
        "Ann (Bob)",
    ],
)
def test_words_and_signs_that_may_separate_two_people(artist: str):
    assert names(artist)[1:] == ["Ann", "Bob"]


@pytest.mark.parametrize(
    "artist",
    [
        "Ann; Bob",
        "Ann feat. Bob",
        "Ann FT Bob",
        "Ann (featuring Bob)",
        "Ann [feat.Bob]",
        "Ann; Bob; ANN",
        "Ann\0Bob",
        "Ann при участии Bob",
    ],
)
def test_words_and_signs_that_always_separate_two_people(artist: str):
    assert sure(artist) == names(artist) == ["Ann", "Bob"]


@pytest.mark.parametrize(
    "artist", ["Malcolm X", "Little Feat", "Harry E Belafonte", "Alexander", "Ella - Topic", "Et Cetera"]
)
def test_a_single_name_stays_one_name(artist: str):
    assert sure(artist) == names(artist) == [artist.removesuffix(" - Topic")]


def test_names_that_end_like_a_separator_stay_whole():
    assert names("Malcolm X & Ann")[1:] == ["Malcolm X", "Ann"]
    assert names("Lil Nas X x Jack Harlow")[1:] == ["Lil Nas X", "Jack Harlow"]
    assert names("Little Feat feat. Bob") == ["Little Feat", "Bob"]


@pytest.mark.parametrize(
    "title",
    [
        "Song (feat. Bob)",
        "Song [ft. Bob] (Live)",
        "Song feat. Bob - Live",
        "Song featuring Bob",
        "Song（feat. Bob）",
        "Song (feat. Bob) [prod. Cy]",
        "Song feat. Bob prod. by Cy",
        "Song (Live, feat. X) ft. Bob",
    ],
)
def test_guests_are_found_in_titles(title: str):
    assert sure("Ann", title)[0] == "Ann"
    assert sure("Ann", title)[-1] == "Bob"


@pytest.mark.parametrize("title", ["6 ft. Under", "The Feat of Strength", "Defeat", "Song (Bob Remix)", "Left", None])
def test_no_guests_are_found_in_other_titles(title: str | None):
    assert names("Ann", title) == ["Ann"]


def test_placeholder_names_credit_nobody():
    assert names("Various Artists") == names("") == names(None, None) == []
    assert names("Various Artists", "Song (feat. Bob)") == names("V.A. feat. Bob") == ["Bob"]
    assert sure("Ann & Unknown Artist") == ["Ann"]


def test_the_catalogue_shows_which_parts_of_a_name_are_people():
    tracks = pd.DataFrame(
        [
            ("1", "Earth, Wind & Fire", None),
            ("2", "Queen & David Bowie", None),
            ("3", "Queen", None),
            ("4", "DAVID BOWIE", "X (feat. Cy)"),
            ("5", "Ann & Bob", None),
            ("6", "Bob & Cid", None),
            ("7", "David Bowie", "Dancing (With Myself)"),
            ("8", None, "Song (with Queen)"),
            ("9", "Di & Ed", ""),
        ],
        columns=["track_id", "artist", "title"],
    )
    found = of_catalogue(tracks, known=["Ed"]).groupby("track_id")["name"].agg(list).to_dict()
    assert found == {
        "1": ["Earth, Wind & Fire"],
        "2": ["Queen", "David Bowie"],
        "3": ["Queen"],
        "4": ["David Bowie", "Cy"],
        "5": ["Ann & Bob", "Bob"],
        "6": ["Bob & Cid", "Bob"],
        "7": ["David Bowie"],
        "8": ["Queen"],
        "9": ["Di & Ed", "Ed"],
    }


def test_a_catalogue_without_credits_has_none():
    empty = of_catalogue(pd.DataFrame({"track_id": ["1"], "artist": [None], "title": [None]}))
    assert empty.columns.tolist() == ["track_id", "key", "name"]
    assert empty.empty


def test_a_name_is_spelled_as_on_most_tracks():
    tracks = pd.DataFrame({"track_id": list("abcd"), "artist": ["Björk", "BJORK", "Ann", "BJORK"], "title": "Song"})
    assert of_catalogue(tracks)["name"].tolist() == ["BJORK", "BJORK", "Ann", "BJORK"]
