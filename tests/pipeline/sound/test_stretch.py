"""A stretch of a file acts as a file, and no seek in it is an error."""

import io
import os

import pytest

from pipeline.sound.stretch import CHUNK, Stretch, open_bytes
from pipeline.store.errors import Problem

FIRST, LATER, LAST = 2, 0, 4  # flags of Ogg pages


def page(flags: int, size: int = 100) -> bytes:
    return b"OggS\0" + bytes([flags]) + bytes(size)


def stretch(data: bytes, start: int = 0, end: int | None = None) -> Stretch:
    return Stretch(io.BytesIO(data), start, len(data) if end is None else end, "sound.ogg")


def test_it_reads_and_seeks_within_its_bounds():
    file = stretch(b"0123456789", 2, 8)
    assert file.read(3) == b"234"
    assert file.tell() == 3
    assert file.seek(-1, os.SEEK_END) == 5
    assert file.read() == b"7"
    assert file.read(5) == b""
    assert file.seek(1) == 1
    assert file.seek(1, os.SEEK_CUR) == 2
    assert file.head(2) == b"23"
    assert file.read(1) == b"4"


@pytest.mark.parametrize(("offset", "whence"), [(-1, os.SEEK_SET), (-7, os.SEEK_END), (2**63, os.SEEK_SET)])
def test_an_invalid_seek_changes_nothing(offset, whence):
    file = stretch(b"0123456789", 2, 8)
    file.seek(2)
    assert file.seek(offset, whence) == -1
    assert file.read(1) == b"4"


def test_reading_beyond_the_end_returns_nothing(tmp_path):
    (tmp_path / "a.mp3").write_bytes(b"0123456789")
    file = open_bytes(tmp_path / "a.mp3")
    assert file.seek(2**62) == 2**62  # beyond what any file system allows
    assert file.read(5) == b""
    file.close()


def test_a_link_of_an_ogg_file_starts_where_new_streams_start():
    one = page(FIRST) + page(FIRST) + page(LATER) + page(LAST)  # two streams side by side
    two = page(FIRST) + page(LATER, CHUNK) + page(LAST)
    links = [link.read() for link in stretch(one + two + one).links()]
    assert links == [one, two, one]


def test_a_page_across_two_reads_is_found():
    first = page(FIRST) + page(LATER, CHUNK - 115)
    assert len(first) == CHUNK - 3
    assert [link.size for link in stretch(first + page(FIRST) + page(LATER)).links()] == [len(first), 212]


def test_a_file_that_is_not_ogg_is_one_link():
    assert [link.read() for link in stretch(b"fLaC and more").links()] == [b"fLaC and more"]


def test_what_follows_an_id3_tag_is_found():
    assert stretch(b"ID3\4\0\0\0\0\1\0" + bytes(128) + b"RIFF").behind_id3().read() == b"RIFF"
    assert stretch(b"ID3\4\0\0\x7f\x7f\x7f\x7f" + b"RIFF").behind_id3().read() == b""
    assert stretch(b"RIFF").behind_id3() is None


def test_only_the_ending_of_a_files_name_is_passed_on(tmp_path):
    (tmp_path / "Secret Song.mp3").write_bytes(b"x")
    file = open_bytes(tmp_path / "Secret Song.mp3")
    assert file.name == "sound.mp3"
    file.close()
    (tmp_path / "nothing.mp3").touch()
    with pytest.raises(Problem, match="0 bytes"):
        open_bytes(tmp_path / "nothing.mp3")
