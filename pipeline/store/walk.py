"""The files in a folder and in all folders below it, local or on an object store, with any names and links.

Each folder is read once, however many links lead to it or back up from it, and under its own path if that is below the
root. Hidden files (whose name begins with a single dot), system files and workspaces are skipped. Nothing stops the
walk: what cannot be read, or is not a file, becomes an `Entry` with the reason.
"""

import collections
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pafs

from pipeline.store.workspace import IN_WORK

# Thumbnails, resource forks and recycle bins of Synology, QNAP, macOS and Windows.
SYSTEM_FOLDERS = frozenset(
    "@eadir __macosx #recycle #snapshot @recycle @recently-snapshot $recycle.bin recycler lost+found".split()
) | {"system volume information"}
HIDDEN = "hidden or of the system"
WORKSPACE, IN_WORKSPACES = "workspace", {IN_WORK, "runs"}  # what every workspace has
UNREAD = ("permission", "unreadable")  # errors of folders, whose content is unknown


@dataclass(frozen=True)
class Entry:
    """A file, or something in place of a file, with its `error` (a class to count by) and a `message`."""

    path: str
    size_bytes: int | None = None
    mtime_ns: int | None = None
    error: str | None = None
    message: str | None = None


def walk(fs: pafs.FileSystem, folder: str, passed: collections.Counter[str]) -> Iterator[Entry]:
    """Yield the content of a folder in no particular order; what is skipped is counted in `passed`."""
    return _walk_local(folder, passed) if fs.type_name == "local" else _walk_remote(fs, folder, passed)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is hidden ("...And Justice for All" is not)."""
    return (name.startswith(".") and not name.startswith("..")) or name.lower() in SYSTEM_FOLDERS


def _walk_remote(fs: pafs.FileSystem, folder: str, passed: collections.Counter[str]) -> Iterator[Entry]:
    for info in fs.get_file_info(pafs.FileSelector(folder, recursive=True, allow_not_found=True)):
        if info.type != pafs.FileType.File:
            continue
        if any(map(is_hidden, info.path.removeprefix(folder).split("/"))):
            passed[HIDDEN] += 1
        else:
            yield Entry(info.path, info.size, info.mtime_ns)


def _walk_local(root: str, passed: collections.Counter[str]) -> Iterator[Entry]:
    # A link to a folder above the root leads to the root again.
    seen = {_identity(os.stat(parent)) for parent in Path(root).resolve().parents}
    folders, linked = [root], collections.deque[str]()
    while folders or linked:
        folder = folders.pop() if folders else linked.popleft()  # links come last, so that a folder's own path wins
        try:
            identity = _identity(os.stat(folder))
            if identity in seen:
                continue
            seen.add(identity)
            found = list(os.scandir(folder))
        except OSError as error:
            yield _unreadable(folder, error)
            continue
        if folder != root and {item.name for item in found} >= IN_WORKSPACES:
            passed[WORKSPACE] += 1  # or its vocals would be scanned as tracks
            continue
        for item in found:
            if is_hidden(item.name):
                passed[HIDDEN] += 1
                continue
            try:
                status = item.stat()
            except OSError as error:
                yield _dangling(item.path) if item.is_symlink() else _unreadable(item.path, error)
                continue
            if stat.S_ISDIR(status.st_mode):
                (linked if item.is_symlink() else folders).append(item.path)
            else:
                yield _entry(item.path, status)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _entry(path: str, status: os.stat_result) -> Entry:
    shown = _shown(path)
    if not stat.S_ISREG(status.st_mode):
        return Entry(shown, error="not_a_file", message="it is not a file but a pipe, a socket or a device")
    if shown != path:
        return Entry(
            shown,
            status.st_size,
            status.st_mtime_ns,
            "name",
            "its name, or that of a folder on the way to it, is not UTF-8: rename it",
        )
    return Entry(path, status.st_size, status.st_mtime_ns)


def _dangling(path: str) -> Entry:
    return Entry(_shown(path), error="missing", message=f"a link to {_shown(os.readlink(path))}, which does not exist")


def _unreadable(path: str, error: OSError) -> Entry:
    kind = "permission" if isinstance(error, PermissionError) else "unreadable"
    return Entry(_shown(path), error=kind, message=f"it cannot be read: {error.strerror}")


def _shown(path: str) -> str:
    """Return a path that any table can contain, with bytes that are not UTF-8 escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
