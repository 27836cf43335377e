"""The spool: local copies of remote audio, so that a stage fetches each track only once from the store.

A copy exists while its track is processed, and the next track's is fetched at the same time; so a worker's spool never
holds the files of more than two tracks. A local file is its own copy, and is not removed.
"""

import contextlib
import errno
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar

from pipeline.store.errors import Problem
from pipeline.store.locations import S3, is_remote, open_filesystem, split

Item = TypeVar("Item")
CHUNK_BYTES = 16 * 2**20  # of one request
PREFIX = "vocatlas-spool-"


class Copies:
    """The local copies of one item's files."""

    def __init__(self, found: dict[str, str | Exception]):
        self.found = found

    def __getitem__(self, uri: str) -> str:
        """Return the path of a file's copy.

        Raises:
            Exception: the error that prevented the download, such as FileNotFoundError.
        """
        copy = self.found[uri]
        if isinstance(copy, Exception):
            raise copy
        return copy


def spooled(
    items: Iterable[Item], uris: Callable[[Item], Sequence[str | None]]
) -> Generator[tuple[Item, Copies], None, None]:
    """Yield each item with copies of its files, which are removed afterwards, while the next item's are fetched.

    Args:
        items: to yield.
        uris: returns the files of an item, local paths or URIs, or None for no file. If a file cannot be fetched, the
            error is raised when its copy is accessed.
    """
    _sweep()
    with (
        tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", ignore_cleanup_errors=True) as folder,
        ThreadPoolExecutor(1) as pool,
    ):
        here: tuple[Item, Future[Copies]] | None = None
        for item in items:
            wanted = [uri for uri in uris(item) if uri]
            following = item, pool.submit(_fetch_all, wanted, Path(folder), here[1] if here else None)
            if here:
                yield here[0], here[1].result()
                _remove(here[1].result(), following[1].result())
            here = following
        if here:
            yield here[0], here[1].result()


@contextlib.contextmanager
def local_copy(uri: str) -> Iterator[str]:
    """Yield the path of a file's local copy, which exists during the block.

    Raises:
        FileNotFoundError: the file does not exist.
        OSError: it cannot be fetched.
    """
    with contextlib.closing(spooled([uri], lambda name: [name])) as copies:
        for _, copy in copies:
            yield copy[uri]


def fetch(uri: str, folder: Path) -> Path:
    """Copy a remote file into a folder, under a new name with the same ending, and return its path.

    Raises:
        Problem: `name`, if the store's client cannot open such a key.
        FileNotFoundError: the file does not exist.
        OSError: the store or the disk fails.
    """
    scheme, _, key = split(uri)
    if any(part in ("", ".", "..") for part in key.split("/")):
        raise Problem("name", f"the store's client opens no key with an empty part, '.' or '..' between slashes: {uri}")
    target = folder / f"{uuid.uuid4().hex}{PurePosixPath(key).suffix[:16]}"
    with open(target, "wb") as sink:
        if scheme in S3:
            from pipeline.store import amazon  # loading its client takes a quarter of a second

            amazon.download(uri, sink)
        else:
            _download(uri, sink)
    return target


def _download(uri: str, sink: IO[bytes]) -> None:
    """Write a file's content to an empty file, with one request for its size and one for each `CHUNK_BYTES`."""
    filesystem, path = open_filesystem(uri)
    try:
        with filesystem.open_input_file(path) as source:
            while chunk := source.read(CHUNK_BYTES):
                sink.write(chunk)
            if sink.tell() != source.size():
                raise ConnectionError(f"the store gave {sink.tell()} of {source.size()} bytes of {uri}")
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), uri) from error


def _fetch_all(uris: Sequence[str], folder: Path, before: "Future[Copies] | None") -> Copies:
    """Fetch an item's files, except those that were already fetched for the previous item."""
    held = before.result().found if before else {}
    found: dict[str, str | Exception] = {}
    for uri in uris:
        try:
            copy = held.get(uri)
            found[uri] = copy if isinstance(copy, str) else str(fetch(uri, folder)) if is_remote(uri) else uri
        except Exception as error:
            found[uri] = error
    return Copies(found)


def _remove(copies: Copies, following: Copies) -> None:
    """Remove the copies that the next item does not need."""
    for uri, copy in copies.found.items():
        if is_remote(uri) and isinstance(copy, str) and uri not in following.found:
            os.unlink(copy)


def _sweep() -> None:
    """Remove the spools of dead processes of this machine."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = folder.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)
