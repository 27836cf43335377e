"""Tags: a file's artist, title and album, from all kinds of tags and encodings.

mutagen reads all kinds of tags with all their values, while FFmpeg keeps the first of several values and trusts the
encoding that a frame states. Text of uncertain encoding (ID3v1, RIFF's INFO, ID3 frames that claim Latin-1) is read as
bytes, and all such text of a file is decoded together (`text.decode`).

A file's tags are read in the order of trust, each for what the previous ones leave open. They never make a file fail:
they are read within limits of bytes and seconds, and damaged tags are ignored.
"""

import codecs
import contextlib
import io
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from mutagen import apev2, asf, flac, id3, mp4, oggflac, oggopus, oggspeex, oggtheora, oggvorbis

from pipeline.store.text import clean, decode, mend

MAX_BYTES = 64 * 2**20  # read from a file for its tags, which may include pictures
MAX_S = 10.0
MAX_CHUNKS = 1000
MAX_VALUES = 20
ID3V1_BYTES = 128

# The names of artist, title and album in each kind of tag.
ID3_NAMES = {"artist": "TPE1", "title": "TIT2", "album": "TALB"}
ID3V22_NAMES = {"TP1": "TPE1", "TT2": "TIT2", "TAL": "TALB"}
INFO_NAMES = {"artist": b"IART", "title": b"INAM", "album": b"IPRD"}
AIFF_NAMES = {"artist": b"AUTH", "title": b"NAME"}
MP4_NAMES = {"artist": "\xa9ART", "title": "\xa9nam", "album": "\xa9alb"}
ASF_NAMES = {"artist": "Author", "title": "Title", "album": "WM/AlbumTitle"}

Values = dict[str, list[str | bytes]]  # of artist, title, album; bytes if the encoding is uncertain


class Readable(Protocol):
    """A file that is open for reading bytes."""

    def read(self, size: int = -1, /) -> bytes: ...  # noqa: D102 (as of any file)
    def seek(self, offset: int, whence: int = 0, /) -> int: ...  # noqa: D102
    def tell(self) -> int: ...  # noqa: D102


def read_tags(source: Readable, container: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a file's `artist`, `title` and `album`, as far as it has them.

    Several values are separated by `; `; texts are one line of at most `text.MAX_CHARS` characters.

    Args:
        source: the file, whose position may change.
        container: tags that FFmpeg found, for formats that mutagen does not know; keys in lower case.
    """
    limited = _Limited(source)
    found: Values = {}
    for reader in (_id3, _chunks, _native, _ape, _id3v1):
        with contextlib.suppress(Exception):  # mutagen raises all kinds of errors; the next reader may do better
            for name, values in reader(limited).items():
                if any(values):
                    found.setdefault(name, values)
    for name in ID3_NAMES:
        if container and container.get(name):
            found.setdefault(name, [container[name]])
    return _texts(found)


class _Limited:
    """A file of which at most `MAX_BYTES` are read, for at most `MAX_S`."""

    def __init__(self, source: Readable):
        self.source, self.left, self.until = source, MAX_BYTES, time.monotonic() + MAX_S
        self.size = source.seek(0, 2)

    def check(self) -> None:
        if self.left < 0 or time.monotonic() > self.until:
            raise TimeoutError("too much to read for tags")

    def read(self, size: int = -1) -> bytes:
        there = max(0, self.size - self.tell())
        data = self.source.read(min(there if size < 0 else min(size, there), self.left + 1))
        self.left -= len(data)
        self.check()
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        place = self.source.seek(offset, whence)
        if place < 0:  # as sound.stretch answers
            raise OSError("there is no such place in the file")
        return place

    def tell(self) -> int:
        return self.source.tell()

    def at(self, offset: int, size: int) -> bytes:
        """Return bytes at a position."""
        self.seek(max(0, offset))
        return self.read(size)


class _Frames(dict[str, type[id3.Frame]]):
    """The wanted ID3 frames, as bytes. mutagen looks up every frame of a tag here, so it can be stopped here."""

    def __init__(self, check: Callable[[], None]):
        self.check = check
        super().__init__({name: type(name, (id3.BinaryFrame,), {}) for name in ID3_NAMES.values()})
        self.update({old: type(old, (self[new],), {}) for old, new in ID3V22_NAMES.items()})

    def __missing__(self, name: str) -> type[id3.Frame]:
        self.check()
        raise KeyError(name)


def _id3(file: _Limited, offset: int = 0) -> Values:
    """Read an ID3v2 tag of any version, of mp3 or in front of any other format."""
    head = file.at(offset, 10)
    if head[:3] != b"ID3" or len(head) < 10:
        return {}
    size = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(head[6:])))
    tag = id3.ID3(io.BytesIO(head + file.read(size)), known_frames=_Frames(file.check), translate=False, load_v1=False)
    return {
        name: [value for frame in tag.getall(key) for value in _frame_values(frame.data)]
        for name, key in ID3_NAMES.items()
    }


def _frame_values(data: bytes) -> list[str | bytes]:
    """Return the values of a text frame: a byte for the encoding (0 Latin-1, 1 and 2 UTF-16, 3 UTF-8) and the text."""
    encoding, body = data[:1], data[1:]
    if encoding in (b"\1", b"\2"):
        with contextlib.suppress(UnicodeError):
            page = "utf-16-be" if body[:2] == b"\xfe\xff" or encoding == b"\2" else "utf-16-le"
            return list(body[: len(body) // 2 * 2].decode(page).replace("\ufeff", "").split("\0"))
    return list((body if encoding < b"\4" else data).split(b"\0"))


def _chunks(file: _Limited) -> Values:
    """Read the native tags of WAV, AIFF or DSF, and an ID3 tag among its chunks."""
    kind = file.at(0, 12)
    if kind[:4] == b"DSD ":
        return _id3(file, struct.unpack("<Q", file.at(20, 8))[0])
    if kind[:4] in (b"RIFF", b"RF64") and kind[8:] == b"WAVE":
        order, names = "<", INFO_NAMES
    elif kind[:4] == b"FORM" and kind[8:] in (b"AIFF", b"AIFC"):
        order, names = ">", AIFF_NAMES
    else:
        return {}
    found: Values = {}
    raw: dict[bytes, bytes] = {}
    for name, offset, size in _walk(file, 12, file.size, order):
        if name.lower() == b"id3 ":
            found = _id3(file, offset)
        elif name == b"LIST" and file.at(offset, 4) == b"INFO":
            raw |= {item: file.at(at, n) for item, at, n in _walk(file, offset + 4, offset + size, order)}
        elif name in names.values():
            raw[name] = file.at(offset, size)
    own: Values = {name: [raw[chunk].partition(b"\0")[0]] for name, chunk in names.items() if chunk in raw}
    return own | {name: values for name, values in found.items() if any(values)}


def _walk(file: _Limited, offset: int, end: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, offset and size of the chunks between two positions."""
    for _ in range(MAX_CHUNKS):
        head = file.at(offset, 8)
        if len(head) < 8 or offset >= end:
            return
        name, size = struct.unpack(f"{order}4sI", head)
        yield name, offset + 8, min(size, file.size - offset - 8)
        offset += 8 + size + size % 2


def _native(file: _Limited) -> Values:
    """Read the comments of FLAC and Ogg, the atoms of MP4, or the attributes of Windows Media."""
    head = file.at(0, 64)
    file.seek(0)
    if head[4:8] == b"ftyp":
        atoms: Any = mp4.MP4(file).tags or {}
        return {name: [str(value) for value in atoms.get(key, [])] for name, key in MP4_NAMES.items()}
    if head[:4] == b"\x30\x26\xb2\x75":
        attributes: Any = asf.ASF(file).tags or {}
        return {name: [str(value) for value in attributes.get(key, [])] for name, key in ASF_NAMES.items()}
    ogg = (oggvorbis.OggVorbis, oggopus.OggOpus, oggflac.OggFLAC, oggspeex.OggSpeex, oggtheora.OggTheora)
    kind: Any = max(ogg, key=lambda one: one.score("", file, file.at(0, 128))) if head[:4] == b"OggS" else flac.FLAC
    file.seek(0)
    comments = kind(file).tags or {}
    return {name: list(comments.get(name, [])) for name in ID3_NAMES}


def _ape(file: _Limited) -> Values:
    """Read an APEv2 tag, at the end of mp3, Monkey's Audio, Musepack, WavPack and others."""
    file.seek(0)
    items = apev2.APEv2(file)
    return {name: list(items[name]) for name in ID3_NAMES if name in items}


def _id3v1(file: _Limited) -> Values:
    """Read the 128 bytes at the end, whose fields of 30 bytes may end in the middle of a character."""
    tag = file.at(file.size - ID3V1_BYTES, ID3V1_BYTES)
    if tag[:3] != b"TAG":
        return {}
    fields = {"title": tag[3:33], "artist": tag[33:63], "album": tag[63:93]}
    return {name: [_uncut(field.partition(b"\0")[0].rstrip())] for name, field in fields.items()}


def _uncut(field: bytes) -> str | bytes:
    """Return a full field as text if it is UTF-8 except for its last character."""
    if len(field) == 30 and not field.isascii():
        with contextlib.suppress(UnicodeError):
            return codecs.getincrementaldecoder("utf-8")().decode(field)
    return field


def _texts(found: Values) -> dict[str, str]:
    """Return values as text, with those of uncertain encoding decoded together."""
    uncertain = [value for values in found.values() for value in values if isinstance(value, bytes)]
    decoded = iter(decode(uncertain))
    texts = {}
    for name, values in found.items():
        told = [clean(mend(value if isinstance(value, str) else next(decoded))) for value in values]
        texts[name] = clean("; ".join([text for text in dict.fromkeys(told) if text][:MAX_VALUES]))
    return {name: text for name, text in texts.items() if text}
