import collections
import os
import socket
from pathlib import Path

import pyarrow.fs as pafs

from pipeline.store import tables
from pipeline.store.locations import open_filesystem
from pipeline.store.walk import HIDDEN, Entry, walk
from pipeline.store.workspace import Workspace


def found(folder: Path | str) -> tuple[dict[str, Entry], int]:
    """Return what is in a folder by its path in there, and how many things were hidden."""
    passed: collections.Counter[str] = collections.Counter()
    entries = list(walk(pafs.LocalFileSystem(), str(folder), passed))
    by_path = {entry.path.removeprefix(f"{folder}/"): entry for entry in entries}
    assert len(by_path) == len(entries)
    return by_path, passed[HIDDEN]


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"four")


def test_files_have_the_size_and_time_that_pyarrow_gives(tmp_path):
    fill(tmp_path, "a.mp3", "album/b.mp3")
    entries, _ = found(tmp_path)
    infos = pafs.LocalFileSystem().get_file_info([str(tmp_path / name) for name in ("a.mp3", "album/b.mp3")])
    assert [entries[name] for name in ("a.mp3", "album/b.mp3")] == [
        Entry(info.path, info.size, info.mtime_ns) for info in infos
    ]


def test_a_real_folder_is_read_once_and_by_its_own_path(tmp_path):
    music = tmp_path / "music"
    fill(music, "real/song.mp3")
    fill(tmp_path, "beside.mp3", "other disk/far.mp3")
    (music / "a link before it").symlink_to(music / "real")
    (music / "real" / "itself").symlink_to(music / "real")
    (music / "real" / "up").symlink_to(music)
    (music / "real" / "further up").symlink_to(tmp_path)
    (music / "elsewhere").symlink_to(tmp_path / "other disk")
    (music / "elsewhere again").symlink_to(tmp_path / "other disk")
    entries, _ = found(music)
    assert set(entries) in ({"real/song.mp3", f"{way}/far.mp3"} for way in ("elsewhere", "elsewhere again"))
    through_a_link, _ = found(music / "a link before it")
    assert "song.mp3" in through_a_link


def test_hidden_and_system_files_are_skipped(tmp_path):
    fill(
        tmp_path,
        ".hidden.mp3",
        ".hiddendir/a.mp3",
        ".Trash-1000/files/b.mp3",
        "@eaDir/c.mp3",
        "__MACOSX/._d.mp3",
        "$RECYCLE.BIN/e.mp3",
        "...And Justice for All/One.mp3",
    )
    entries, hidden = found(tmp_path)
    assert set(entries) == {"...And Justice for All/One.mp3"}
    assert hidden == 6


def test_a_workspace_among_the_music_is_skipped(tmp_path):
    fill(tmp_path, "a.mp3", "runs/live/b.mp3")
    workspace = Workspace(tmp_path / "mine")
    workspace.write_bytes("vocals_audio/ab/abc.flac", b"sung")
    tables.write(workspace, "runs", [{"stage": "scan"}], "x")
    entries, _ = found(tmp_path)
    assert set(entries) == {"a.mp3", "runs/live/b.mp3"}


def test_on_an_object_store_the_same_names_are_skipped(object_store):
    filesystem, root = open_filesystem(f"{object_store.bucket()}/.music")
    for name in (".hidden.mp3", "@eaDir/c.mp3", "...And Justice for All/One.mp3", "a.mp3"):
        with filesystem.open_output_stream(f"{root}/{name}") as sink:
            sink.write(b"four")
    passed: collections.Counter[str] = collections.Counter()
    entries = list(walk(filesystem, root, passed))
    assert {(entry.path.removeprefix(f"{root}/"), entry.size_bytes) for entry in entries} == {
        ("...And Justice for All/One.mp3", 4),
        ("a.mp3", 4),
    }
    assert passed == {HIDDEN: 2}


def test_entries_that_are_not_files_say_what_they_are(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.mp3")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(tmp_path)  # a socket's path must be short
        listener.bind("socket.mp3")
    (tmp_path / "dangling.mp3").symlink_to("gone.mp3")
    (tmp_path / "its own.mp3").symlink_to("its own.mp3")
    entries, _ = found(tmp_path)
    assert {name: entry.error for name, entry in entries.items()} == {
        "pipe.mp3": "not_a_file",
        "socket.mp3": "not_a_file",
        "dangling.mp3": "missing",
        "its own.mp3": "missing",
    }
    assert entries["dangling.mp3"].message == "a link to gone.mp3, which does not exist"


def test_a_name_that_is_not_utf8_is_shown_escaped_and_the_others_are_found(tmp_path):
    for name in (b"caf\xe9.mp3", b"\xff/inside.mp3", "café.mp3".encode()):
        path = os.path.join(os.fsencode(tmp_path), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(os.fsdecode(path)).write_bytes(b"")
    entries, _ = found(tmp_path)
    assert {name: entry.error for name, entry in entries.items()} == {
        r"caf\xe9.mp3": "name",
        r"\xff/inside.mp3": "name",
        "café.mp3": None,
    }


def test_a_folder_without_permission_is_reported_and_the_others_are_read(folder_of_nobody):
    fill(folder_of_nobody, "open/a.mp3", "locked/b.mp3", "list only/c.mp3")
    (folder_of_nobody / "locked").chmod(0o000)
    (folder_of_nobody / "list only").chmod(0o444)
    entries, _ = found(folder_of_nobody)
    assert {name: entry.error for name, entry in entries.items()} == {
        "open/a.mp3": None,
        "locked": "permission",
        "list only/c.mp3": "permission",
    }
    assert entries["locked"].message == "it cannot be read: Permission denied"
