"""A file in the form that decoders get: only bytes, which they can read and seek in."""

import itertools
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.store.errors import Problem
from pipeline.store.locations import is_remote, open_filesystem

CHUNK = 2**20
_OGG_PAGE = re.compile(rb"OggS\0([\0-\7])", re.DOTALL)
_BEGINS = 2  # in an Ogg page's flags: the first page of a stream


def open_bytes(uri: str | Path) -> "Stretch":
    """Open a local file or an object.

    Raises:
        Problem: `empty`, or `decode` if it is a folder, a device or the like.
        FileNotFoundError, PermissionError: it does not exist, or may not be read.
    """
    if is_remote(str(uri)):
        fs, path = open_filesystem(str(uri))
        file: Any = fs.open_input_file(path)
        size = file.size()
    else:
        status = os.stat(uri)
        if not stat.S_ISREG(status.st_mode):
            kind = "folder" if stat.S_ISDIR(status.st_mode) else "pipe, socket or device"
            raise Problem("decode", f"not a file but a {kind}")
        file, size = open(uri, "rb"), status.st_size  # noqa: SIM115 (the Stretch closes it)
    if not size:
        file.close()
        raise Problem("empty", "the file is empty (0 bytes)")
    return Stretch(file, 0, size, name=f"sound{Path(str(uri)).suffix}")


class Stretch:
    """The bytes from `start` to `end` of an open file, in the form of a file.

    A seek to an impossible position returns -1, which decoders take for a failed seek and not for the end of the file.
    """

    def __init__(self, file: Any, start: int, end: int, name: str):
        self.file, self.start, self.size, self.name = file, start, end - start, name
        self.at = 0

    def read(self, n: int = -1) -> bytes:
        """Return up to `n` bytes."""
        left = self.size - self.at
        if left <= 0:
            return b""
        self.file.seek(self.start + self.at)
        data = self.file.read(left if n < 0 else min(n, left))
        self.at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position and return it."""
        to = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.at, os.SEEK_END: self.size}[whence]
        if not 0 <= to < 2**63:
            return -1
        self.at = to
        return to

    def tell(self) -> int:
        """Return the position."""
        return self.at

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def head(self, n: int) -> bytes:
        """Return the first `n` bytes, without changing the position."""
        at, self.at = self.at, 0
        data = self.read(n)
        self.at = at
        return data

    def behind_id3(self) -> "Stretch | None":
        """Return what follows an ID3v2 tag, or None without one; FFmpeg only skips such tags where it expects them."""
        head = self.head(10)
        if len(head) < 10 or head[:3] != b"ID3":
            return None
        size = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        return Stretch(self.file, self.start + min(size, self.size), self.start + self.size, self.name)

    def links(self) -> Iterator["Stretch"]:
        """Yield the links of a chained Ogg file in order, or any other file as a whole.

        FFmpeg stops at a link whose channels, rate or codec differ from the first one's.
        """
        starts = _link_starts(self) if self.head(CHUNK).find(b"OggS") >= 0 else []
        cuts = [0, *starts[1:], self.size]
        for start, end in itertools.pairwise(cuts):
            yield Stretch(self.file, self.start + start, self.start + end, self.name)


def _link_starts(file: Stretch) -> list[int]:
    """Return where the links of an Ogg file start: at the first page of a stream that follows another kind of page."""
    starts: list[int] = []
    among_first = False
    offset, tail = 0, b""
    while chunk := file.read(CHUNK):
        data = tail + chunk
        for page in _OGG_PAGE.finditer(data):
            begins = bool(page[1][0] & _BEGINS)
            if begins and not among_first:
                starts.append(offset - len(tail) + page.start())
            among_first = begins
        offset += len(chunk)
        tail = data[-5:]
    file.seek(0)
    return starts
