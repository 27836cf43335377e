"""Lists of known names as people write them."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.people.known import KnownNames, known_uris, match_known, read_known, unmatched
from pipeline.store.errors import ConfigError

FILES = pd.DataFrame(
    {"track_id": ["t1", "t2", "t3"], "uri": ["/music/ann/one.mp3", "/music/ann/two.mp3", "/music/bob/one.mp3"]}
)


def read(tmp_path: Path, text: str | bytes) -> KnownNames:
    path = tmp_path / "known.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_known(str(path))


def match(tracks: list[str], names: list[str]):
    return match_known(KnownNames(pd.DataFrame({"track": tracks, "vocalist": names}), ()), "/music/known.csv", FILES)


def test_other_column_names_are_accepted_and_incomplete_rows_reported(tmp_path: Path):
    known = read(tmp_path, "Path; VOCALIST ;remark\n a.mp3 ;Ann;x\nb.mp3;;y\n;Bob;z\n;;\n")
    assert known.rows.to_dict("records") == [{"track": "a.mp3", "vocalist": "Ann"}]
    assert known.remarks == ("2 rows of the known names give no track or no vocalist",)


def test_lists_as_spreadsheets_write_them_are_read(tmp_path: Path):
    for encoding in ("utf-8-sig", "utf-16", "cp1252"):
        known = read(tmp_path, "track,vocalist\r\n00012e4,Björk\r\n".encode(encoding))
        assert known.rows.to_dict("records") == [{"track": "00012e4", "vocalist": "Björk"}]


def test_an_unquoted_comma_in_a_name_is_reported(tmp_path: Path):
    known = read(tmp_path, 'track,vocalist\na.mp3,Ann\nb.mp3,Coulton, Jonathan\n"c.mp3,Di\nd.mp3,"Coulton, Jonathan"\n')
    assert known.rows["track"].tolist() == ["a.mp3", "d.mp3"]
    assert len(known.remarks) == 1
    assert "line 3 (b.mp3,Coulton, Jonathan): 3 fields where the header has 2: a comma" in known.remarks[0]
    assert 'line 4 ("c.mp3,Di): a quotation mark' in known.remarks[0]


def test_spellings_of_one_name_are_one_person_and_are_reported(tmp_path: Path):
    known = read(tmp_path, "track,vocalist\na.mp3,Bjork\nb.mp3,Björk\nc.mp3,Björk\nd.mp3,BJÖRK\ne.mp3,Ann\n")
    assert known.rows["vocalist"].tolist() == ["Björk"] * 4 + ["Ann"]
    assert known.remarks == ("Björk is also written Bjork, BJÖRK in the known names: taken for one person",)


def test_names_that_vocatlas_gives_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"names that Vocatlas itself gives: line 3 \(voice-0042\)"):
        read(tmp_path, "track,vocalist\na.mp3,Ann\nb.mp3,voice-0042\n")


def test_a_placeholder_is_not_a_known_name(tmp_path: Path):
    known = read(tmp_path, "track,vocalist\na.mp3,Various Artists\n")
    assert known.rows.empty
    assert "line 2: Various Artists is nobody's name" in known.remarks[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is empty"),
        ("track,name\na,b\n", "there are track, name"),
        ("vocalist\nAnn\n", "need the columns"),
        ("PAR1", "damaged Parquet"),
        ("PK\x03\x04", "a spreadsheet"),
    ],
)
def test_a_file_that_is_not_a_list_is_refused_with_a_clear_message(tmp_path: Path, text: str, words: str):
    with pytest.raises(ConfigError, match=words):
        read(tmp_path, text)


def test_a_missing_list_is_refused_with_a_clear_message(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot read the known names"):
        read_known(str(tmp_path / "no.csv"))


def test_known_tracks_are_found_and_the_others_reported():
    found = match(["t1", "ann/two.mp3", "one.mp3", "gone.mp3"], ["Ann", "Ann", "Bob", "Cy"])
    assert found.vocalists == {"t1": "Ann", "t2": "Ann"}
    assert found.remarks == (
        "1 known tracks match no track of the catalogue: gone.mp3 (the nearest is /music/bob/one.mp3)",
        "1 known tracks fit several tracks: one.mp3",
    )


def test_of_two_names_for_one_track_neither_is_used():
    found = match(["ann/one.mp3", "t1"], ["Ann", "Bob"])
    assert found.vocalists == {}
    assert found.remarks == ("1 known tracks have several names: Ann and Bob for ann/one.mp3",)
    assert match(["t1", "ann/one.mp3"], ["Ann", "Ann"]).vocalists == {"t1": "Ann"}


def test_relative_paths_are_looked_for_beside_the_list(tmp_path: Path):
    (tmp_path / "known.csv").write_text("track,vocalist\nmusic/a.mp3,Ann\n")
    assert str(tmp_path / "music/a.mp3") in known_uris(str(tmp_path / "known.csv"))
    assert known_uris(None) == set()


def test_before_a_scan_paths_are_checked_and_ids_are_not():
    rows = pd.DataFrame({"track": ["0" * 32, "ann/one.mp3", "gone.xyz"], "vocalist": ["Ann", "Ann", "Bob"]})
    assert unmatched(KnownNames(rows, ("a remark",)), "/music/known.csv", FILES["uri"].tolist()) == (
        "a remark",
        "1 known tracks match no track of the catalogue: gone.xyz",
    )
