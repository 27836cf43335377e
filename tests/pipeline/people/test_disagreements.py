"""Which artist tags contradict the vocalist found."""

import pandas as pd

from pipeline.people.disagreements import disagreements, people
from pipeline.people.names import key


def disagree(rows: list[tuple[str | None, str | None]], given: dict[str, list[str]] | None = None) -> list[bool]:
    frame = pd.DataFrame([(*row, "Song (feat. Guest)") for row in rows], columns=["vocalist", "artist", "title"])
    return disagreements(frame["vocalist"], frame["artist"], frame["title"], given or {}).tolist()


def test_a_tag_may_mean_several_people():
    assert people("Ann & Bob", "Song (feat. Cy)") == {key("Ann & Bob"), key("Ann"), key("Bob"), key("Cy")}
    assert people("Various Artists") == people(None) == frozenset()


def test_another_artist_than_the_enrolled_vocalist_disagrees():
    rows = [("Ann", "ann"), ("Ann", "Ann feat. Bob"), ("Ann", "Bob"), ("Ann", None), ("Ann", "Various Artists")]
    assert disagree(rows, {"Ann": ["Ann"]}) == [False, False, True, False, False]


def test_a_guest_whom_the_title_names_does_not_disagree():
    assert disagree([("Guest", "Ann")], {"Guest": ["Guest"]}) == [False]


def test_a_singers_band_does_not_disagree():
    rows = [("Freddie Mercury", "Queen"), ("Freddie Mercury", "Queen"), ("Freddie Mercury", "Abba")]
    assert disagree(rows, {"Freddie Mercury": ["Queen"]}) == [False, False, True]


def test_in_a_cluster_the_majority_says_what_is_expected():
    frame = pd.DataFrame([("voice-0001", "Ann"), ("voice-0001", "Ann"), ("voice-0001", "Bob"), ("voice-0002", "Cy"),
                          ("voice-0002", "Di"), ("voice-0003", "Ed"), (None, "Ann")], columns=["vocalist", "artist"])
    found = disagreements(frame["vocalist"], frame["artist"], pd.Series([None] * 7), {})
    assert found.tolist() == [False, False, True, False, False, False, False]
