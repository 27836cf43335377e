"""A workspace: the local folder or object-store prefix with all results of a catalogue run.

Paths inside are relative, with forward slashes. A file that exists is complete: local files are written under a
temporary name and renamed; an object appears when all of its bytes have been accepted, and each is passed to the
store's client in one call, so that nothing can happen between its parts and their completion.
"""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs

from pipeline.store.errors import WorkspaceError, raise_if_fatal
from pipeline.store.locations import is_remote, open_filesystem

IN_WORK = "_in_work"  # work in progress: unfinished files, marks of items


class Workspace:
    """Atomic, resumable storage under one root; each process creates its own, which costs little."""

    def __init__(self, root: str | Path):
        self.root = str(root).rstrip("/")
        self.fs, self.base = open_filesystem(self.root)
        self.remote = is_remote(self.root)

    def path(self, name: str) -> str:
        """Return the path of `name` within the workspace's filesystem."""
        return f"{self.base}/{name}"

    @property
    def location(self) -> str:
        """The URI or absolute local path by which other processes find the workspace, whatever folder they are in."""
        return self.root if self.remote else self.base

    def uri(self, name: str) -> str:
        """Return the URI or absolute local path of `name`, which people and other programs can open."""
        return f"{self.root}/{name}" if self.remote else self.path(name)

    def exists(self, name: str) -> bool:
        """Return whether a file exists, and therefore is complete."""
        if not self.remote:
            return os.path.isfile(self.path(name))
        try:  # one request, while the client's own check for a missing file takes two
            self.fs.open_input_file(self.path(name)).close()
        except (FileNotFoundError, pa.ArrowInvalid):  # the second for an invalid key
            return False
        return True

    def list(self, folder: str, suffix: str = "") -> list[str]:
        """Return the names of the complete files directly in `folder`, sorted; none if it does not exist."""
        selector = pafs.FileSelector(self.path(folder), allow_not_found=True)
        return sorted(
            f"{folder}/{info.base_name}"
            for info in self.fs.get_file_info(selector)
            if info.type == pafs.FileType.File
            and info.base_name.endswith(suffix)
            and not info.base_name.startswith(".")
        )

    def list_all(self, folder: str) -> dict[str, int]:
        """Return the names of all complete files in `folder` and the folders in it, and their sizes in bytes."""
        selector = pafs.FileSelector(self.path(folder), recursive=True, allow_not_found=True)
        return {
            info.path.removeprefix(f"{self.base}/"): info.size
            for info in self.fs.get_file_info(selector)
            if info.type == pafs.FileType.File and not info.base_name.startswith(".")
        }

    def read_bytes(self, name: str) -> bytes:
        """Return a file's content."""
        with self.fs.open_input_file(self.path(name)) as source:
            return source.read()

    def write_bytes(self, name: str, data: bytes | pa.Buffer) -> None:
        """Write a file that appears complete or not at all.

        Raises:
            WorkspaceError: the disk is full or the workspace cannot be written.
        """
        with self._publish(name) as target:
            self._write(target, pa.py_buffer(data))

    def put_file(self, local: str | Path, name: str) -> None:
        """Move a finished local file into the workspace, where it appears complete or not at all.

        Raises:
            WorkspaceError: the disk is full or the workspace cannot be written.
        """
        with self._publish(name) as target:
            if self.remote:
                with pa.memory_map(str(local)) as source:
                    self._write(target, source.read_buffer())
                os.unlink(local)
            else:
                shutil.move(local, target)

    def delete(self, name: str) -> None:
        """Remove a file, or a folder with its content, if it exists."""
        info = self.fs.get_file_info(self.path(name))
        if info.type == pafs.FileType.Directory:
            self.fs.delete_dir(self.path(name))
        elif info.type == pafs.FileType.File:
            self.fs.delete_file(self.path(name))

    def preflight(self, min_free_gb: float) -> None:
        """Check before work starts that a local workspace can be written and has space; stores are checked elsewhere.

        Raises:
            WorkspaceError: it cannot be written, or has less than `min_free_gb`.
        """
        if self.remote:
            return
        probe = f".probe-{uuid.uuid4().hex}"
        try:
            self.write_bytes(probe, b"vocatlas")
            self.delete(probe)
        except (WorkspaceError, OSError) as error:
            raise WorkspaceError(
                f"the workspace {self.root} cannot be written: {error}. "
                "Name another with workspace=… or change its permissions."
            ) from error
        free_gb = shutil.disk_usage(self.base).free / 1e9
        if free_gb < min_free_gb:
            raise WorkspaceError(
                f"only {free_gb:.1f} GB are free for the workspace {self.root}, "
                f"min_free_gb requires {min_free_gb:g}. Free some space or name "
                "another workspace."
            )

    def _write(self, path: str, data: pa.Buffer) -> None:
        """Write a whole file in one call of the client, which is closed only after that.

        When the client is closed, or deleted for any reason, it completes whatever was written, unless the store has
        refused a part.
        """
        stream = self.fs.open_output_stream(path, compression=None)
        stream.write(data)
        stream.close()

    @contextlib.contextmanager
    def _publish(self, name: str) -> Iterator[str]:
        """Yield a path to write to, and make the file appear as `name` if the block succeeds."""
        final = self.path(name)
        parent, _, base = final.rpartition("/")
        # A table's folder holds only complete parts at all times, since some readers open everything in it. Other
        # files may be on a separate disk (a linked `vocals_audio/`), within which they must be renamed.
        folder = self.path(IN_WORK) if name.endswith(".parquet") else parent
        target = final if self.remote else f"{folder}/.tmp-{uuid.uuid4().hex}-{base[-80:]}"
        try:
            if not self.remote:
                os.makedirs(parent, exist_ok=True)
                os.makedirs(folder, exist_ok=True)
            yield target
            if not self.remote:
                os.replace(target, final)
        except OSError as error:
            raise_if_fatal(error)
            raise WorkspaceError(f"cannot write {self.uri(name)}: {error.strerror or error}") from error
        finally:
            if not self.remote:
                with contextlib.suppress(OSError):
                    os.unlink(target)
