"""CSV and Parquet as people write them."""

import io
from pathlib import Path

import pandas as pd
import pytest

from pipeline.store import sheet
from pipeline.store.errors import ConfigError
from pipeline.store.sheet import Fault, Row


def rows(data: str | bytes) -> list[dict[str, str]]:
    found = list(sheet.parse(data.encode() if isinstance(data, str) else data).records)
    assert all(isinstance(record, Row) for record in found)
    return [record.cells for record in found if isinstance(record, Row)]


def faults(data: str | bytes) -> list[tuple[int, str]]:
    found = sheet.parse(data.encode() if isinstance(data, str) else data).records
    return [(record.line, record.message) for record in found if isinstance(record, Fault)]


def parquet(frame: pd.DataFrame) -> bytes:
    sink = io.BytesIO()
    frame.to_parquet(sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        "uri,title\na,b\n",
        "uri;title\na;b",
        "uri\ttitle\r\na\tb\r\n",
        "uri|title\ra|b\r",
        "sep=;\nuri;title\na;b\n",
        " URI , Title \na,b\n",
        '"uri","title"\n"a","b"\n',
        "\n\nuri,title\n\na,b\n\n",
        'uri,title\na, "b"\n',
        "uri,title,\na,b,\n",
    ],
)
def test_csv_is_read_in_every_dialect(data: str):
    assert {name: cell for name, cell in rows(data)[0].items() if name} == {"uri": "a", "title": "b"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_csv_is_read_in_every_encoding(encoding: str):
    assert rows("uri,artist\na.mp3,Björk\n".encode(encoding)) == [{"uri": "a.mp3", "artist": "Björk"}]


def test_lines_may_have_different_encodings():
    data = "uri,artist\na,Björk\n".encode() + "b,Mylène\n".encode("cp1252")
    assert [row["artist"] for row in rows(data)] == ["Björk", "Mylène"]


def test_all_values_are_text():
    assert rows("uri,title,album\n007,311,true\na,,\n") == [
        {"uri": "007", "title": "311", "album": "true"},
        {"uri": "a", "title": "", "album": ""},
    ]
    frame = pd.DataFrame(
        {"URI": ["a", None], "title": [311, None], "album": [True, False], "artist": [b"Bj\xf6rk", None]}
    )
    assert rows(parquet(frame)) == [
        {"uri": "a", "title": "311", "album": "True", "artist": "Björk"},
        {"uri": "", "title": "", "album": "False", "artist": ""},
    ]


def test_in_a_single_column_commas_are_text():
    assert rows("uri\nMy, song.mp3\n") == [{"uri": "My, song.mp3"}]


def test_fields_may_contain_quotation_marks():
    assert rows('uri,title\n12" mix.mp3,"say ""hi"""\n"a\nb",c\n') == [
        {"uri": '12" mix.mp3', "title": 'say "hi"'},
        {"uri": "a\nb", "title": "c"},
    ]


def test_a_bad_row_is_one_fault():
    data = 'uri,title\na,b\nc,d,e\nf\n"g,h\ni,j\n"k"l,m\nn,o\n'
    assert faults(data) == [
        (3, "3 fields where the header has 2: a comma within a field needs quotation marks around it"),
        (4, "1 fields where the header has 2"),
        (5, "a quotation mark is opened and never closed"),
        (7, "',' expected after '\"'"),
    ]
    assert [record.line for record in sheet.parse(data.encode()).records if isinstance(record, Row)] == [2, 6, 8]


def test_an_unclosed_quotation_mark_costs_only_its_row():
    assert faults('uri,title\n"a,b\n"c",d\n') == [(2, "a quotation mark is opened and never closed")]


def test_a_list_in_a_cell_is_a_fault_of_its_row():
    assert faults(parquet(pd.DataFrame({"uri": ["a", "b"], "artist": [["x"], None]}))) == [
        (1, "artist holds a list where one value belongs")
    ]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        ("\ufeff\n".encode("utf-16-le"), "empty"),
        (b"PAR1junk", "damaged Parquet"),
        (b"PK\x03\x04", "spreadsheet"),
        (b"{}", "JSON"),
        (b"<html>", "web page"),
        (b"#EXTM3U\na.mp3", "playlist"),
    ],
)
def test_a_file_that_is_not_a_table_is_named(data: bytes, words: str, tmp_path: Path):
    (tmp_path / "x.csv").write_bytes(data)
    with pytest.raises(ConfigError, match=f"cannot read the manifest .*{words}"):
        sheet.read(str(tmp_path / "x.csv"), "manifest")


def test_of_two_columns_with_one_name_the_first_is_used():
    table = sheet.parse(b"uri,URI\na,b\n")
    assert table.column(("path", "uri")) == "uri"
    assert [record.cells for record in table.records if isinstance(record, Row)] == [{"uri": "a"}]
