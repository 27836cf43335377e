import os

import pytest

from pipeline.store.errors import WorkspaceError
from pipeline.store.workspace import Workspace, is_remote, open_filesystem


def test_what_is_written_can_be_read_and_listed(workspace: Workspace):
    workspace.write_bytes("tags/b.parquet", b"two")
    workspace.write_bytes("tags/a.parquet", b"one")
    workspace.write_bytes("tags/notes.txt", b"")
    assert workspace.read_bytes("tags/a.parquet") == b"one"
    assert workspace.list("tags", ".parquet") == ["tags/a.parquet", "tags/b.parquet"]
    assert workspace.list("nothing") == []
    assert workspace.exists("tags/a.parquet")
    assert not workspace.exists("tags")


def test_a_write_that_fails_leaves_nothing_behind(workspace: Workspace):
    workspace.write_bytes("x/file", b"old")
    with pytest.raises(TypeError):
        workspace.write_bytes("x/file", 3.5)  # type: ignore[arg-type]
    assert workspace.read_bytes("x/file") == b"old"
    assert os.listdir(workspace.path("x")) == ["file"]


def test_put_file_moves_the_whole_file(workspace: Workspace, tmp_path):
    (tmp_path / "made.flac").write_bytes(b"sound")
    workspace.put_file(tmp_path / "made.flac", "vocals_audio/ab/abc.flac")
    assert workspace.read_bytes("vocals_audio/ab/abc.flac") == b"sound"
    assert not (tmp_path / "made.flac").exists()
    assert workspace.uri("vocals_audio/ab/abc.flac").startswith("/")


def test_delete_takes_files_folders_and_nothing(workspace: Workspace):
    workspace.write_bytes("a/b/c", b"")
    workspace.delete("a/b/c")
    workspace.delete("a")
    workspace.delete("never there")
    assert not os.path.exists(workspace.path("a"))


def test_a_full_disk_is_told_in_words(workspace: Workspace):
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    os.makedirs(workspace.base)
    with pytest.raises(WorkspaceError, match="No space left"), workspace._publish("file") as target:
        os.symlink("/dev/full", target)
        with open(target, "wb", buffering=0) as sink:
            sink.write(b"x")


def test_preflight_names_an_unwritable_workspace(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WorkspaceError, match="cannot be written"):
        Workspace(tmp_path / "file" / "inside").preflight(0)


def test_preflight_asks_for_room(workspace: Workspace):
    workspace.preflight(0)
    with pytest.raises(WorkspaceError, match="min_free_gb asks for 1e\\+09"):
        workspace.preflight(1e9)


def test_local_and_remote_names_are_told_apart(tmp_path):
    assert is_remote("s3://bucket/prefix")
    assert not is_remote("/music/s3")
    fs, path = open_filesystem(f"file://{tmp_path}")
    assert path == str(tmp_path)
    assert fs.type_name == "local"
    with pytest.raises(WorkspaceError, match="cannot open"):
        open_filesystem("hdfs://nowhere:1/x?bad=option")
