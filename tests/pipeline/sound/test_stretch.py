"""A stretch of a file is a file of its own, and no seek in it is an error."""

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
def test_a_seek_to_nowhere_fails_alone(offset, whence):
    file = stretch(b"0123456789", 2, 8)
    file.seek(2)
    assert file.seek(offset, whence) == -1
    assert file.read(1) == b"4"


def test_behind_the_end_there_is_nothing(tmp_path):
    (tmp_path / "a.mp3").write_bytes(b"0123456789")
    file = open_bytes(tmp_path / "a.mp3")
    assert file.seek(2**62) == 2**62  # further than any file system goes
    assert file.read(5) == b""
    file.close()


def test_links_of_an_ogg_file_begin_where_streams_begin_after_others_went_on():
    one = page(FIRST) + page(FIRST) + page(LATER) + page(LAST)  # two streams side by side
    two = page(FIRST) + page(LATER, CHUNK) + page(LAST)
    links = [link.read() for link in stretch(one + two + one).links()]
    assert links == [one, two, one]


def test_a_page_across_two_reads_is_seen():
    first = page(FIRST) + page(LATER, CHUNK - 115)
    assert len(first) == CHUNK - 3
    assert [link.size for link in stretch(first + page(FIRST) + page(LATER)).links()] == [len(first), 212]


def test_what_is_no_ogg_is_one_link():
    assert [link.read() for link in stretch(b"fLaC and more").links()] == [b"fLaC and more"]


def test_what_follows_an_id3_tag():
    assert stretch(b"ID3\4\0\0\0\0\1\0" + bytes(128) + b"RIFF").behind_id3().read() == b"RIFF"
    assert stretch(b"ID3\4\0\0\x7f\x7f\x7f\x7f" + b"RIFF").behind_id3().read() == b""
    assert stretch(b"RIFF").behind_id3() is None


def test_of_a_name_no_more_than_its_ending_is_told(tmp_path):
    (tmp_path / "Secret Song.mp3").write_bytes(b"x")
    file = open_bytes(tmp_path / "Secret Song.mp3")
    assert file.name == "sound.mp3"
    file.close()
    (tmp_path / "nothing.mp3").touch()
    with pytest.raises(Problem, match="0 bytes"):
        open_bytes(tmp_path / "nothing.mp3")
