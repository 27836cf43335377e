"""Tracks in the ways in which people write them down."""

import os
from pathlib import Path

import pandas as pd
import pytest

from pipeline.people.tracks import candidates, find_tracks

FILES = pd.DataFrame(
    {
        "track_id": ["t1", "t2", "t2", "t3", "t4", "t5"],
        "uri": [
            "/music/ann/one.mp3",
            "/music/ann/two.mp3",
            "/music/copy/two.flac",
            "/music/bob/one.mp3",
            "s3://b/x/four.ogg",
            "/music/Café/Ärger #1 100%25.mp3",
        ],
    }
)


def find(track: str, list_path: str | None = "/music/known.csv") -> set[str]:
    return set(find_tracks([track], FILES, list_path)[0].track_ids)


@pytest.mark.parametrize(
    "track", ["t1", "/music/ann/one.mp3", "ann/one.mp3", "./ann/one.mp3", "file:///music/ann/one.mp3"]
)
def test_a_track_is_named_by_its_id_or_a_path(track: str):
    assert find(track) == {"t1"}


def test_a_duplicate_file_or_a_uri_names_its_track():
    assert find("/music/copy/two.flac") == {"t2"}
    assert find("s3://b/x/four.ogg") == find("S3://b/x/four.ogg") == {"t4"}


def test_the_end_of_a_path_is_enough():
    assert find("two.mp3", "/elsewhere/known.csv") == {"t2"}
    assert find("one.mp3", "/elsewhere/known.csv") == {"t1", "t3"}
    assert find("wo.mp3") == set()


@pytest.mark.parametrize(
    "track",
    [
        "ann\\TWO.MP3",
        "/Music/Ann//two.mp3",
        "Z:\\Music\\ann\\two.mp3",
        "/Volumes/NAS/ann/two.mp3",
        "/mnt/ann/./two.mp3",
    ],
)
def test_case_slashes_and_mount_point_do_not_matter_if_one_track_fits(track: str):
    assert find(track) == {"t2"}


def test_unicode_form_does_not_matter_and_percent_signs_are_literal():
    assert find("Cafe\u0301/A\u0308rger #1 100%25.mp3") == {"t5"}
    assert find("file:///music/Caf%C3%A9/%C3%84rger%20%231%20100%2525.mp3") == {"t5"}


def test_another_folder_inside_the_catalogue_is_no_other_mount_point():
    found = find_tracks(["/old/eve/one.mp3", "/old/two.mp4", "/old/xyzzy.mp3"], FILES)
    assert [found[0].track_ids, found[1].track_ids] == [set(), set()]
    assert found[0].nearest in ("/music/ann/one.mp3", "/music/bob/one.mp3")
    assert found[1].nearest == "/music/ann/two.mp3"
    assert found[2].nearest is None


def test_an_exact_match_goes_before_one_that_differs_in_case():
    files = pd.DataFrame({"track_id": ["small", "big"], "uri": ["/m/a.mp3", "/m/A.mp3"]})
    assert find_tracks(["/m/A.mp3", "a.mp3", "/x/a.mp3"], files)[0].track_ids == {"big"}
    assert find_tracks(["a.mp3"], files)[0].track_ids == {"small"}
    assert find_tracks(["/x/a.MP3"], files)[0].track_ids == {"small", "big"}


def test_in_an_empty_catalogue_nothing_is_found():
    assert find_tracks(["a.mp3"], FILES.head(0))[0].track_ids == set()


def test_candidates_are_beside_the_list_and_in_the_current_folder(tmp_path: Path):
    beside = str(tmp_path / "known.csv")
    assert candidates("m/a.mp3", beside) == [f"{tmp_path}/m/a.mp3", f"{os.getcwd()}/m/a.mp3"]
    assert candidates("a.mp3", "s3://b/known.csv")[0] == "s3://b/a.mp3"
    assert candidates("http://x/a.mp3", beside) == []
