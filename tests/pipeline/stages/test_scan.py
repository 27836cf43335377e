import os
import shutil
from pathlib import Path

import mutagen
import numpy as np
import pandas as pd
import pytest
import soundfile

from pipeline.stages import scan
from pipeline.store import tables
from pipeline.store.errors import ConfigError


def make_song(path, hz: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * hz * np.arange(16000) / 16000), 16000)


@pytest.fixture
def music(tmp_path):
    for i in range(3):
        make_song(tmp_path / "music" / f"album {i % 2}" / f"song {i}.flac", 200 + i)
    (tmp_path / "music" / "notes.txt").write_text("no audio")
    (tmp_path / "music" / "broken.mp3").write_text("no audio either")
    return tmp_path / "music"


def run_scan(config):
    listing, _ = scan.list_catalogue(config.catalogue, config.scan.suffixes)
    workspace = scan.Workspace(config.workspace)
    todo = scan.pending(workspace, listing)
    if len(todo):
        scan.ScanWorker(config.workspace)(todo)
    scan.forget_absent(workspace, listing)
    scan.derive_tracks(workspace, listing)
    return len(todo), tables.read(workspace, "tracks")


def test_a_folder_becomes_tracks_and_failures(make_config, workspace, music):
    n, tracks = run_scan(make_config(catalogue=str(music)))
    assert n == 4
    assert len(tracks) == 3
    assert tracks["track_id"].is_unique
    assert tracks["duration_s"].tolist() == [1.0] * 3
    failures = tables.read(workspace, "failures")
    assert failures["uri"].tolist() == [str(music / "broken.mp3")]
    assert failures["error"].tolist() == ["decode"]


def test_a_second_scan_does_nothing_and_a_new_file_adds_a_row(make_config, music):
    config = make_config(catalogue=str(music))
    _, before = run_scan(config)
    n, again = run_scan(config)
    assert n == 0
    pd.testing.assert_frame_equal(before, again)
    make_song(music / "new.wav", 999)
    n, after = run_scan(config)
    assert n == 1
    assert set(after["track_id"]) > set(before["track_id"])


def test_a_duplicate_is_one_track_and_a_moved_file_keeps_its_identity(make_config, music):
    config = make_config(catalogue=str(music))
    _, before = run_scan(config)
    song = music / "album 0" / "song 0.flac"
    shutil.copy(song, music / "copy.flac")
    _, tracks = run_scan(config)
    assert len(tracks) == 3
    assert sorted(tracks["n_files"]) == [1, 1, 2]
    (music / "copy.flac").unlink()
    os.renames(song, music / "moved" / "renamed.flac")
    _, moved = run_scan(config)
    assert set(moved["track_id"]) == set(before["track_id"])
    assert str(music / "moved" / "renamed.flac") in set(moved["uri"])
    assert str(song) not in set(moved["uri"])
    assert moved["n_files"].tolist() == [1, 1, 1]


def test_a_changed_file_is_read_again(make_config, music):
    config = make_config(catalogue=str(music))
    run_scan(config)
    make_song(music / "broken.mp3", 555)  # content wins over the name
    n, tracks = run_scan(config)
    assert n == 1
    assert len(tracks) == 4


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_replaced_file_is_read_again_whatever_its_time(make_config, workspace, music, seconds):
    config = make_config(catalogue=str(music))
    _, before = run_scan(config)
    song = music / "album 0" / "song 0.flac"
    time_s = song.stat().st_mtime + seconds
    make_song(song, 777)
    os.utime(song, (time_s, time_s))  # as `cp -p` and rsync leave it
    n, after = run_scan(config)
    assert n == 1
    old, new = (tracks.set_index("uri")["track_id"] for tracks in (before, after))
    assert old.index.equals(new.index)
    assert (old != new)[lambda changed: changed].index.tolist() == [str(song)]
    assert tables.read(workspace, "files")["uri"].is_unique


def test_a_removed_file_no_longer_counts_and_may_come_back(make_config, workspace, music):
    config = make_config(catalogue=str(music))
    _, before = run_scan(config)
    tables.write(
        workspace,
        "failures",
        [{"stage": "separate", "key": track_id, "track_id": track_id} for track_id in before["track_id"]],
        "separate-x",
    )
    tables.write(
        workspace, "voices", [{"track_id": track_id, "embedding": [1.0, 0.0]} for track_id in before["track_id"]], "x"
    )
    for name in ("broken.mp3", "album 0/song 0.flac"):
        (music / name).rename(music.parent / "away")
    _, after = run_scan(config)
    assert set(before["track_id"]) - set(after["track_id"]) == {before["track_id"][0]}
    assert set(tables.read(workspace, "failures")["track_id"]) == set(after["track_id"])
    assert set(tables.read_voices(workspace)[0]["track_id"]) == set(after["track_id"])
    (music.parent / "away").rename(music / "back.flac")
    _, again = run_scan(config)
    assert set(again["track_id"]) == set(before["track_id"])
    assert len(tables.read_voices(workspace)[0]) == 3


def test_an_unreadable_file_is_a_failure_and_skipped_files_are_counted(make_config, workspace, music):
    (music / "dangling.mp3").symlink_to("gone.mp3")
    (music / "album 0" / "up").symlink_to(music)
    Path(os.fsdecode(os.fsencode(music) + b"/caf\xe9.mp3")).write_bytes(b"")
    for name in ("cover.jpg", "back.JPG", "README", "01. Intro", ".hidden.mp3", "@eaDir/song 0.flac"):
        (music / name).parent.mkdir(exist_ok=True)
        (music / name).write_bytes(b"x")
    config = make_config(catalogue=str(music))
    n, tracks = run_scan(config)
    assert (n, len(tracks)) == (6, 3)
    failures = tables.read(workspace, "failures").set_index("uri")
    assert failures["error"].to_dict() == {
        str(music / "broken.mp3"): "decode",
        str(music / "dangling.mp3"): "missing",
        f"{music}/caf\\xe9.mp3": "name",
    }
    assert run_scan(config)[0] == 0
    _, passed = scan.list_catalogue(config.catalogue, config.scan.suffixes)
    assert passed == {".jpg": 2, "no ending": 2, ".txt": 1, "hidden or of the system": 2}
    assert scan.describe(passed).startswith("passed over 7: ")


def test_a_glob_takes_every_file_that_matches(music):
    listing, passed = scan.list_catalogue(str(music / "*" / "*.flac"), (".flac",))
    assert (len(listing), passed) == (3, {})


@pytest.mark.parametrize(
    ("pattern", "unread"), [("a [12]/*.mp3", {"a 2"}), ("*x.mp3", {"a 2", "b"}), ("a 1/*.mp3", set())]
)
def test_a_glob_reports_an_unreadable_folder_that_could_match(folder_of_nobody, pattern, unread):
    for name in ("a 1/x.mp3", "a 2/x.mp3", "b/x.mp3"):
        (folder_of_nobody / name).parent.mkdir()
        (folder_of_nobody / name).write_bytes(b"four")
    for name in ("a 2", "b"):
        (folder_of_nobody / name).chmod(0o000)
    listing, _ = scan.list_catalogue(str(folder_of_nobody / pattern), (".mp3",))
    errors = dict(zip(listing["uri"].to_pylist(), listing["error"].to_pylist(), strict=True))
    assert errors == {str(folder_of_nobody / "a 1/x.mp3"): None} | {
        str(folder_of_nobody / name): "permission" for name in unread
    }


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_manifest_gives_paths_and_tags(make_config, music, suffix):
    frame = pd.DataFrame({"path": ["album 0/song 0.flac", "gone.flac"], "artist": ["Ella", None]})
    manifest = music / f"manifest.{suffix}"
    frame.to_csv(manifest, index=False) if suffix == "csv" else frame.to_parquet(manifest)
    config = make_config(catalogue=str(manifest))
    _, tracks = run_scan(config)
    assert tracks["artist"].tolist() == ["Ella"]
    failures = tables.read(scan.Workspace(config.workspace), "failures")
    assert failures["error"].tolist() == ["missing"]
    assert "gone.flac" in failures["message"][0]


def test_changed_tags_in_a_manifest_are_used_and_removed_ones_give_way_to_the_files(make_config, music):
    song = music / "album 0" / "song 0.flac"
    own = mutagen.File(song)
    own["artist"], own["title"] = "Tagged", "Own title"
    own.save()
    config = make_config(catalogue=str(music / "list.csv"))
    seen = []
    for artist in ("Ella", "Nina", ""):
        (music / "list.csv").write_text(f"path,artist,album\nalbum 0/song 0.flac,{artist},Live\n")
        n, tracks = run_scan(config)
        seen.append((n, *tracks[["artist", "title", "album"]].iloc[0]))
    assert seen == [
        (1, "Ella", "Own title", "Live"),
        (0, "Nina", "Own title", "Live"),
        (0, "Tagged", "Own title", "Live"),
    ]


def test_a_glob_and_a_single_file(make_config, music):
    _, tracks = run_scan(make_config(catalogue=str(music / "album 0" / "*.flac")))
    assert len(tracks) == 2
    listing, _ = scan.list_catalogue(str(music / "album 1" / "song 1.flac"), (".flac",))
    assert len(listing) == 1


@pytest.mark.parametrize(
    ("catalogue", "words"),
    [
        ("nowhere", "no file or folder"),
        ("nowhere/*.flac", r"no file or folder .*nowhere/\*.flac"),
        ("empty/*.flac", "no audio files"),
        ("empty", "no audio files"),
        ("pictures", r"passed over 1: \.jpg 1"),
        ("bad.csv", "needs a column uri, path or file"),
    ],
)
def test_a_wrong_catalogue_is_reported_before_work(tmp_path, catalogue, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.jpg").write_bytes(b"")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match=words):
        scan.list_catalogue(str(tmp_path / catalogue), (".flac",))
