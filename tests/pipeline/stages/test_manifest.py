"""Manifests as people and programs write them."""

import os
from pathlib import Path

import pandas as pd
import pytest

from pipeline.stages.manifest import Listed, read_manifest
from pipeline.store.errors import ConfigError
from pipeline.store.workspace import Workspace


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Return a folder of two files that are not audio, since a manifest does not open what it names."""
    (tmp_path / "Café 1").mkdir()
    for name in ("Café 1/a b.mp3", "c.mp3"):
        (tmp_path / name).write_bytes(b"sound")
    return tmp_path


def read(folder: Path, text: str | bytes) -> list[Listed]:
    (folder / "list.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read_manifest(str(folder / "list.csv")))


def test_a_manifest_gives_paths_and_tags(music: Path):
    found = read(music, "Path;Artist;Title;Year\nCafé 1/a b.mp3;Björk;007;1995\nc.mp3;;true;\n")
    assert [(file.uri, file.size_bytes, file.error, file.tags) for file in found] == [
        (f"{music}/Café 1/a b.mp3", 5, None, {"artist": "Björk", "title": "007"}),
        (f"{music}/c.mp3", 5, None, {"title": "true"}),
    ]
    assert found[1].mtime_ns == os.stat(music / "c.mp3").st_mtime_ns


@pytest.mark.parametrize(
    "path",
    [
        "{folder}/Café 1/a b.mp3",
        "file://{folder}/Caf%C3%A9%201/a%20b.mp3",
        "./Café 1/a b.mp3",
        "{folder}//Café 1/a b.mp3",
    ],
)
def test_paths_may_be_written_in_several_ways(music: Path, path: str):
    assert [file.uri for file in read(music, "uri\n" + path.format(folder=music))] == [f"{music}/Café 1/a b.mp3"]


def test_a_path_may_start_from_home(music: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(music))
    assert read(music, "uri\n~/c.mp3\n")[0].size_bytes == 5


def test_a_file_that_is_listed_twice_counts_once(music: Path):
    assert [file.tags for file in read(music, "uri,artist\nc.mp3,Ann\n./c.mp3,Bob\n")] == [{"artist": "Ann"}]


def test_a_bad_row_is_one_failure_that_names_its_line(music: Path):
    rows = [
        "uri,artist",
        "c.mp3,Ann,Bob",
        "c.mp3",
        ",Ann",
        "a\0b,Ann",
        f"{'x/' * 2048},Ann",
        f"{'y' * 300},Ann",
        "http://x/a.mp3,Ann",
        "gone.mp3,Ann",
        "Café 1,Ann",
        '"open,Ann',
        "c.mp3,Cy",
    ]
    found = read(music, "\n".join(rows))
    by_place = {file.uri.removeprefix(f"{music}/"): (file.error, file.message or "") for file in found}
    expected = {
        "list.csv, line 2": ("manifest", "3 fields"),
        "list.csv, line 3": ("manifest", "1 fields"),
        "list.csv, line 4": ("manifest", "path is empty"),
        "list.csv, line 5": ("manifest", "NUL"),
        "list.csv, line 6": ("manifest", "longer"),
        "list.csv, line 7": ("manifest", "longer"),
        "list.csv, line 8": ("manifest", "http:// is not supported"),
        "gone.mp3": ("missing", "there is no file"),
        "Café 1": ("not_a_file", "a folder"),
        "list.csv, line 11": ("manifest", "quotation mark"),
        "c.mp3": (None, ""),
    }
    assert by_place.keys() == expected.keys()
    for place, (error, words) in expected.items():
        assert by_place[place][0] == error
        assert words in by_place[place][1]


def test_objects_are_named_by_their_keys_and_a_missing_store_costs_only_its_rows(music, object_store):
    bucket = object_store.bucket()
    Workspace(bucket).write_bytes("a%20b #1.mp3", b"sound")
    uri = f"{bucket}/a%20b #1.mp3"
    found = read(music, f"uri\n{uri.replace('s3://', 'S3://')}\n{bucket}/gone.mp3\ns3://not-there/a.mp3\nc.mp3\n")
    assert {file.uri: (file.size_bytes, file.error) for file in found} == {
        uri: (5, None),
        f"{bucket}/gone.mp3": (None, "missing"),
        "s3://not-there/a.mp3": (None, "unavailable"),
        f"{music}/c.mp3": (5, None),
    }
    assert "there is no bucket not-there" in str([file.message for file in found])


def test_a_parquet_manifest_may_have_lists_and_numbers(music: Path):
    frame = pd.DataFrame({"file": ["c.mp3", "Café 1/a b.mp3"], "artist": [311, None], "title": [["x"], None]})
    frame.to_parquet(music / "list.parquet")
    found = list(read_manifest(str(music / "list.parquet")))
    assert [(file.error, file.tags) for file in found] == [("manifest", {}), (None, {})]
    frame.drop(columns="title").to_parquet(music / "list.parquet")
    assert [file.tags for file in read_manifest(str(music / "list.parquet"))] == [{"artist": "311"}, {}]


def test_control_characters_are_removed(music: Path):
    assert read(music, "uri,artist\nc.mp3,\x1b[31mAnn\x07\n")[0].tags == {"artist": "Ann"}


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "empty"), ("a,b\n1,2\n", "needs a column uri, path or file; it has a, b"), ("PAR1", "damaged Parquet")],
)
def test_a_file_that_is_not_a_manifest_is_refused_with_a_clear_message(music: Path, text: str, words: str):
    with pytest.raises(ConfigError, match=words):
        read(music, text)
