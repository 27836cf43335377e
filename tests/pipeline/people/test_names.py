"""Known names and artist tags as people write them."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.people.names import disagreements, match_known, normalise, people, read_known
from pipeline.store.errors import ConfigError

FILES = pd.DataFrame({
    "track_id": ["t1", "t2", "t2", "t3", "t4"],
    "uri": ["/music/ann/one.mp3", "/music/ann/two.mp3", "/copy/two.flac", "/music/bob/one.mp3", "s3://b/x/four.ogg"],
})


def match(tracks: list[str], names: list[str], folder: str = "/music"):
    return match_known(pd.DataFrame({"track": tracks, "vocalist": names}), f"{folder}/known.csv", FILES)


@pytest.mark.parametrize("track", ["t1", "/music/ann/one.mp3", "ann/one.mp3", "./ann/one.mp3"])
def test_a_track_is_its_id_or_a_path(track: str):
    assert match([track], ["Ann"]).vocalists == {"t1": "Ann"}


def test_a_duplicate_file_is_its_track_and_a_uri_is_remote():
    assert match(["/copy/two.flac", "s3://b/x/four.ogg"], ["Ann", "Di"]).vocalists == {"t2": "Ann", "t4": "Di"}


def test_the_end_of_a_path_will_do_if_only_one_has_it():
    found = match(["two.mp3", "one.mp3"], ["Ann", "Bob"], folder="/elsewhere")
    assert found.vocalists == {"t2": "Ann"}
    assert found.ambiguous == ("one.mp3",)


def test_what_matches_nothing_is_told_by_name():
    found = match(["ann/one.mp3", "gone.mp3"], ["Ann", "Bob"])
    assert found.missing == ("gone.mp3",)
    assert found.vocalists == {"t1": "Ann"}


def test_two_names_for_one_track_are_neither():
    found = match(["t1", "ann/one.mp3"], ["Ann", "Bob"])
    assert found.vocalists == {}
    assert found.ambiguous == ("ann/one.mp3",)
    assert match(["t1", "ann/one.mp3"], ["Ann", "Ann"]).vocalists == {"t1": "Ann"}


def test_read_known_takes_other_column_names_and_drops_empty_rows(tmp_path: Path):
    path = tmp_path / "known.csv"
    path.write_text("path,vocalist,remark\n a.mp3 ,Ann,x\nb.mp3,,y\n,Bob,z\n")
    assert read_known(str(path)).to_dict("records") == [{"track": "a.mp3", "vocalist": "Ann"}]


def test_a_csv_as_spreadsheets_write_it(tmp_path: Path):
    path = tmp_path / "known.csv"
    path.write_bytes("\ufefftrack,vocalist\r\n00012e4,Ann\r\n".encode())
    assert read_known(str(path)).to_dict("records") == [{"track": "00012e4", "vocalist": "Ann"}]


@pytest.mark.parametrize("text", ["", "track,name\na,b\n", "vocalist\nAnn\n"])
def test_a_csv_without_the_columns_is_refused_in_words(tmp_path: Path, text: str):
    path = tmp_path / "known.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match="known"):
        read_known(str(path))


def test_a_csv_that_is_not_there_is_refused_in_words(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot read the known names"):
        read_known(str(tmp_path / "no.csv"))


@pytest.mark.parametrize(("one", "other"), [
    ("Björk", "bjork"), ("The Beatles", "Beatles, The"), ("Jonathan Coulton", "Coulton, Jonathan"), ("AC/DC", "ac dc"),
])
def test_spellings_of_one_name(one: str, other: str):
    assert normalise(one) == normalise(other)


def test_a_tag_may_mean_several_people():
    assert people("Ann & Bob feat. Cy") >= {"ann", "bob", "cy"}
    assert people("Simon and Garfunkel") >= {"garfunkel", "simon"}
    assert people("Alexander") == {"alexander"}
    assert people("Various Artists") == people("") == people(None) == frozenset()


def disagree(rows: list[tuple[str | None, str | None]], given: dict[str, list[str]] | None = None) -> list[bool]:
    frame = pd.DataFrame(rows, columns=["vocalist", "artist"])
    return disagreements(frame["vocalist"], frame["artist"], given or {}).tolist()


def test_another_artist_than_the_enrolled_vocalist_disagrees():
    rows = [("Ann", "ann"), ("Ann", "Ann feat. Bob"), ("Ann", "Bob"), ("Ann", None), ("Ann", "Various Artists")]
    assert disagree(rows, {"Ann": ["Ann"]}) == [False, False, True, False, False]


def test_a_singers_band_does_not_disagree():
    rows = [("Freddie Mercury", "Queen"), ("Freddie Mercury", "Queen"), ("Freddie Mercury", "Abba")]
    assert disagree(rows, {"Freddie Mercury": ["Queen"]}) == [False, False, True]


def test_in_a_cluster_the_majority_says_what_is_expected():
    rows = [("voice-0001", "Ann"), ("voice-0001", "Ann"), ("voice-0001", "Bob"), ("voice-0002", "Cy"),
            ("voice-0002", "Di"), ("voice-0003", "Ed"), (None, "Ann")]
    assert disagree(rows) == [False, False, True, False, False, False, False]
