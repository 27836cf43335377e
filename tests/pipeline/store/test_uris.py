"""Paths and URIs as people write them in lists."""

from pathlib import Path

import pytest

from pipeline.store.errors import Problem
from pipeline.store.uris import resolve


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a b.mp3", "/lists/a b.mp3"),
        ("./x/../a.mp3", "/lists/a.mp3"),
        ("/m//a.mp3", "/m/a.mp3"),
        (" /m/a.mp3 ", "/m/a.mp3"),
        ("file:///m/a%20b.mp3", "/m/a b.mp3"),
        ("FILE://localhost/m/a.mp3", "/m/a.mp3"),
        ("file:/m/a.mp3", "/m/a.mp3"),
        ("S3://B/a%20b #1.mp3", "s3://B/a%20b #1.mp3"),
        ("gs://b/a//b", "gs://b/a//b"),
        ("/m/a%20b.mp3", "/m/a%20b.mp3"),
        ("~a.mp3", "/lists/~a.mp3"),
    ],
)
def test_each_way_of_writing_a_path_gives_its_file(written: str, meant: str):
    assert resolve(written, "/lists") == meant


def test_home_and_remote_folders_are_resolved():
    assert resolve("~/m/a.mp3", "/lists") == str(Path.home() / "m/a.mp3")
    assert resolve("a.mp3", "s3://b/lists") == "s3://b/lists/a.mp3"


def test_a_file_in_a_folder_above_the_list_has_one_uri(tmp_path: Path):
    assert resolve("../audio/a.mp3", "s3://b/lists") == "s3://b/audio/a.mp3"
    (tmp_path / "far" / "lists").mkdir(parents=True)
    (tmp_path / "near").symlink_to(tmp_path / "far" / "lists")
    assert resolve("../a.mp3", str(tmp_path / "near")) == str(
        tmp_path / "far" / "a.mp3"
    )  # as opening the file would resolve it


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("a\0b", "NUL"),
        ("x" * 256, "longer"),
        ("x/" * 2100, "longer"),
        ("http://x/a.mp3", "http:// is not supported"),
        ("HTTPS://x/a.mp3", "https:// is not supported"),
        ("S3:///a.mp3", "names no bucket"),
        ("file:///caf%E9.mp3", "not UTF-8"),
    ],
)
def test_what_cannot_be_a_file_is_refused_with_a_clear_message(written: str, words: str):
    with pytest.raises(Problem, match=words):
        resolve(written, "/lists")
