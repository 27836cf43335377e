"""Manifests: lists of a catalogue's files, with optional artist, title and album.

A manifest is a CSV of any dialect, or Parquet (see `sheet`), with a column `uri`, `path` or `file`. Paths are relative
to the manifest. A row that cannot be used becomes a failure, and the others are read; a file that is listed twice
counts once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs

from pipeline.store import reach, sheet
from pipeline.store.errors import DENIED, UNAVAILABLE, ConfigError, Problem, WorkspaceError, is_like
from pipeline.store.locations import is_remote, open_filesystem
from pipeline.store.text import clean
from pipeline.store.uris import resolve

URI_COLUMNS = ("uri", "path", "file")
TAG_COLUMNS = ("artist", "title", "album")
ASKED_AT_ONCE = 1000  # files of one store whose sizes are requested together


@dataclass(frozen=True)
class Listed:
    """A file of a manifest: its size and time, or a class of error and a message.

    The `uri` of a row without a file is the manifest's, with the line.
    """

    uri: str
    size_bytes: int | None = None
    mtime_ns: int | None = None
    error: str | None = None
    message: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


def read_manifest(uri: str) -> Iterator[Listed]:
    """Yield the files of the manifest at `uri`, each once.

    Raises:
        ConfigError: it is not a table, or has no column of files.
    """
    table = sheet.read(uri, "manifest")
    column = table.column(URI_COLUMNS)
    if column is None:
        raise ConfigError(
            f"catalogue: the manifest {uri} needs a column uri, path or file; "
            f"it has {clean(', '.join(table.columns), 200)}"
        )
    folder = uri.rpartition("/")[0] if is_remote(uri) else str(Path(uri).expanduser().absolute().parent)
    files: dict[str, dict[str, str]] = {}
    for record in table.records:
        place = f"{uri}, line {record.line}"
        if isinstance(record, sheet.Fault):
            yield Listed(place, error="manifest", message=f"{record.message}: {clean(record.row, 100)}")
            continue
        try:
            file = resolve(record.cells[column], folder)
        except Problem as problem:
            yield Listed(place, error=problem.kind, message=f"{problem}: {clean(record.cells[column], 100)!r}")
            continue
        tags = {tag: text for tag in TAG_COLUMNS if (text := clean(record.cells.get(tag, "")))}
        files.setdefault(file, tags)
    yield from _sized(files)


def _sized(files: dict[str, dict[str, str]]) -> Iterator[Listed]:
    """Yield the files with their sizes and times; if a store does not answer, only its own files fail."""
    stores: dict[str, list[str]] = {}
    for file in files:
        stores.setdefault("/".join(file.split("/")[:3]) if is_remote(file) else "", []).append(file)
    for store, names in stores.items():
        found: dict[str, pafs.FileInfo | OSError] = {}
        silent = ""
        try:
            reach.check(store)
            for start in range(0, len(names), ASKED_AT_ONCE):
                batch = names[start : start + ASKED_AT_ONCE]
                found |= zip(batch, _infos(batch), strict=True)
        except (OSError, WorkspaceError) as error:
            silent = clean(str(error))
        for file in names:
            yield (
                _listed(file, found[file], files[file])
                if file in found
                else Listed(file, error=UNAVAILABLE, message=silent, tags=files[file])
            )


def _infos(batch: list[str]) -> list[pafs.FileInfo | OSError]:
    """Return a store's information about its files, which may be an error for some of them.

    Raises:
        OSError, WorkspaceError: the store does not answer.
    """
    fs, _ = open_filesystem(batch[0])
    paths = [open_filesystem(file)[1] for file in batch]
    try:
        return list(fs.get_file_info(paths))
    except pa.ArrowInvalid:
        pass  # one of them is not a valid key
    except OSError as error:
        if is_remote(batch[0]) and not is_like(error, DENIED):
            raise
    return [_info(fs, path) for path in paths]


def _info(fs: pafs.FileSystem, path: str) -> pafs.FileInfo | OSError:
    try:
        return fs.get_file_info(path)
    except OSError as error:
        return error
    except pa.ArrowInvalid as error:
        return OSError(str(error))


def _listed(file: str, info: pafs.FileInfo | OSError, tags: dict[str, str]) -> Listed:
    if isinstance(info, OSError):
        return Listed(file, error="permission", message=f"it cannot be read: {clean(str(info))}", tags=tags)
    if info.type == pafs.FileType.File:
        return Listed(file, info.size, info.mtime_ns, tags=tags)
    if info.type == pafs.FileType.NotFound:
        return Listed(file, error="missing", message=f"there is no file {clean(file)}", tags=tags)
    what = "a folder" if info.type == pafs.FileType.Directory else "not a file but a pipe, a socket or a device"
    return Listed(file, error="not_a_file", message=f"it is {what}", tags=tags)
