import gc
import os

import pytest

from pipeline.store.errors import WorkspaceError
from pipeline.store.workspace import Workspace


def test_written_files_can_be_read_and_listed(workspace: Workspace):
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


def test_delete_accepts_files_folders_and_missing_names(workspace: Workspace):
    workspace.write_bytes("a/b/c", b"")
    workspace.delete("a/b/c")
    workspace.delete("a")
    workspace.delete("never there")
    assert not os.path.exists(workspace.path("a"))


def test_a_full_disk_is_reported_with_a_clear_message(workspace: Workspace):
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


def test_preflight_requires_free_space(workspace: Workspace):
    workspace.preflight(0)
    with pytest.raises(WorkspaceError, match="min_free_gb requires 1e\\+09"):
        workspace.preflight(1e9)


def test_unusual_prefixes_on_a_store_can_be_a_workspace(object_store):
    workspace = Workspace(f"{object_store.bucket()}/we ird #1/50 %20 [é]")
    workspace.write_bytes("tags/a.parquet", b"one")
    assert object_store.kinds() == {"PUT": 1}
    assert workspace.read_bytes("tags/a.parquet") == b"one"
    assert workspace.list("tags") == ["tags/a.parquet"]
    assert workspace.exists("tags/a.parquet")
    assert not workspace.exists("tags/b.parquet")
    assert workspace.uri("tags/a.parquet").endswith("/we ird #1/50 %20 [é]/tags/a.parquet")


def test_an_interrupted_write_leaves_no_object(object_store, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.store.locations.ATTEMPTS", 2)
    local, data = tmp_path / "made.flac", os.urandom(25_000_000)
    local.write_bytes(data)
    workspace = Workspace(object_store.bucket())
    object_store.trouble = lambda kind, path: "drop" if object_store.kinds("partNumber")["PUT"] > 1 else None
    with pytest.raises(WorkspaceError, match="cannot write s3://.*NETWORK_CONNECTION"):
        workspace.put_file(local, "vocals.flac")
    object_store.calm()
    gc.collect()
    assert not workspace.exists("vocals.flac")
    workspace.put_file(local, "vocals.flac")
    assert workspace.read_bytes("vocals.flac") == data
    assert not local.exists()
