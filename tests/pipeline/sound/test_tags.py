"""Tags of every kind and encoding; real encoders made the files, and mutagen or single bytes the tags."""

import io
import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from mutagen import File, apev2, asf, id3, mp4

from pipeline.sound.tags import read_tags
from pipeline.store.text import MAX_CHARS

CODECS = {
    "mp3": "libmp3lame",
    "m4a": "aac",
    "flac": "flac",
    "opus": "libopus",
    "wma": "wmav2",
    "wav": "pcm_s16le",
    "aiff": "pcm_s16be",
    "mka": "pcm_s16le",
}


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a fifth of a second in each format, without tags."""
    folder = tmp_path_factory.mktemp("sounds")
    tone = (8000 * np.sin(np.arange(9600) / 20)).astype(np.int16)[None]
    for ending, codec in CODECS.items():
        with av.open(str(folder / f"tone.{ending}"), "w") as container:
            stream = container.add_stream(codec, rate=48000, layout="mono", bit_rate=64_000)
            frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            frame.sample_rate = 48000
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                container.mux(packet)
    soundfile.write(folder / "tone.ogg", tone[0], 48000, format="OGG", subtype="VORBIS")
    return {path.suffix[1:]: path for path in sorted(folder.iterdir())}


@pytest.fixture
def copy(sounds: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that copies the sound of a format, to be tagged."""

    def copied(ending: str) -> Path:
        path = tmp_path / f"a.{ending}"
        path.write_bytes(sounds[ending].read_bytes())
        return path

    return copied


def tags(data: bytes | Path) -> dict[str, str]:
    return read_tags(io.BytesIO(data if isinstance(data, bytes) else data.read_bytes()))


def id3v2(version: int, **frames: bytes) -> bytes:
    """Return an ID3v2 tag of frames as bytes: the encoding, then the text."""
    if version == 2:
        body = b"".join(name.encode() + len(data).to_bytes(3) + data for name, data in frames.items())
    else:
        body = b"".join(name.encode() + len(data).to_bytes(4) + b"\0\0" + data for name, data in frames.items())
    return (
        b"ID3"
        + bytes([version, 0, 0])
        + bytes([len(body) >> 21, len(body) >> 14 & 127, len(body) >> 7 & 127, len(body) & 127])
        + body
    )


def id3v1(title: bytes, artist: bytes, album: bytes = b"") -> bytes:
    return b"TAG" + title[:30].ljust(30, b"\0") + artist[:30].ljust(30, b"\0") + album[:30].ljust(30, b"\0") + bytes(35)


def info(**items: bytes) -> bytes:
    body = b"INFO" + b"".join(
        name.encode() + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for name, data in items.items()
    )
    return b"LIST" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("page", "artist", "title"),
    [
        ("latin-1", "Björk", "Jóga"),
        ("cp1251", "Кино", "Группа крови"),
        ("shift_jis", "宇多田ヒカル", "光"),
        ("utf-8", "Björk", "Jóga"),
        ("latin-1", "Plain", "Plain too"),
    ],
)
def test_text_in_a_code_page_is_decoded_in_id3_and_info(sounds, page: str, artist: str, title: str):
    expected = {"artist": artist, "title": title}
    artist_bytes, title_bytes = artist.encode(page), title.encode(page)
    mp3 = sounds["mp3"].read_bytes()
    assert tags(mp3 + id3v1(title_bytes, artist_bytes)) == expected
    assert tags(id3v2(3, TPE1=b"\0" + artist_bytes, TIT2=b"\0" + title_bytes) + mp3) == expected
    assert tags(id3v2(4, TPE1=b"\3" + artist_bytes, TIT2=b"\3" + title_bytes) + mp3) == expected
    assert tags(id3v2(2, TP1=b"\0" + artist_bytes + b"\0", TT2=b"\0" + title_bytes) + mp3) == expected
    assert tags(sounds["wav"].read_bytes() + info(IART=artist_bytes + b"\0", INAM=title_bytes)) == expected


def test_text_that_was_decoded_wrongly_before_is_repaired(sounds):
    wrong = "BjÃ¶rk".encode("utf-16")
    assert tags(id3v2(3, TPE1=b"\1" + wrong, TIT2=b"\1\0J\0") + sounds["mp3"].read_bytes())["artist"] == "Björk"


def test_a_field_may_end_within_a_character(sounds):
    name = "サザンオールスターズと友達たち全員"
    for page in ("shift_jis", "utf-8"):
        cut = name.encode(page)[:30] if page == "utf-8" else b"x" + name.encode(page)[:29]
        found = tags(sounds["mp3"].read_bytes() + id3v1(b"", cut))["artist"]
        assert "サザンオールス" in found
        assert "\ufffd" not in found


def test_several_artists_are_all_kept(copy):
    both = ["Ann", "Bob", "Ann"]
    path = copy("mp3")
    tag = id3.ID3()
    tag.add(id3.TPE1(encoding=3, text=both))
    tag.save(path, v2_version=4)
    assert tags(path) == {"artist": "Ann; Bob"}
    path = copy("m4a")
    atoms = mp4.MP4(path)
    atoms["\xa9ART"], atoms["\xa9nam"] = both, ["Song"]
    atoms.save()
    assert tags(path) == {"artist": "Ann; Bob", "title": "Song"}
    for ending in ("flac", "ogg", "opus"):
        path = copy(ending)
        comments = File(path)
        comments["ARTIST"], comments["Album"] = both, ["LP"]
        comments.save()
        assert tags(path) == {"artist": "Ann; Bob", "album": "LP"}
    path = copy("wma")
    attributes = asf.ASF(path)
    attributes["Author"], attributes["WM/AlbumTitle"] = both, ["LP"]
    attributes.save()
    assert tags(path) == {"artist": "Ann; Bob", "album": "LP"}


def test_apev2_in_mp3_wins_over_the_shorter_id3v1(copy):
    path = copy("mp3")
    items = apev2.APEv2()
    items["Artist"], items["Title"] = ["Ann", "Bob"], "A title that is longer than thirty characters"
    items.save(path)
    assert tags(path.read_bytes() + id3v1(b"A title that is longer than th", b"Ann", b"LP")) == {
        "artist": "Ann; Bob",
        "title": "A title that is longer than thirty characters",
        "album": "LP",
    }


def test_id3_is_read_in_wav_and_aiff_and_before_other_formats(copy, sounds):
    for ending in ("wav", "aiff"):
        path = copy(ending)
        sound = File(path)
        sound.add_tags()
        sound.tags.add(id3.TPE1(encoding=1, text=["Björk"]))
        sound.save()
        assert tags(path) == {"artist": "Björk"}
    assert tags(id3v2(3, TPE1=b"\0Ann") + sounds["flac"].read_bytes()) == {"artist": "Ann"}
    assert tags(id3v2(3, TPE1=b"\0Ann") + sounds["opus"].read_bytes()) == {"artist": "Ann"}


def test_the_chunks_of_aiff_are_read(sounds):
    data = sounds["aiff"].read_bytes() + b"NAME\0\0\0\4Song" + b"AUTH\0\0\0\3Ann\0"
    assert tags(data) == {"title": "Song", "artist": "Ann"}


def test_if_mutagen_finds_nothing_ffmpegs_tags_are_used(sounds):
    source = io.BytesIO(sounds["mka"].read_bytes())
    assert read_tags(source, {"artist": "BjÃ¶rk", "encoder": "Lavf"}) == {"artist": "Björk"}
    source = io.BytesIO(id3v2(3, TPE1=b"\0Ann") + sounds["mp3"].read_bytes())
    assert read_tags(source, {"artist": "Bob", "title": "Song"}) == {"artist": "Ann", "title": "Song"}


def test_files_without_tags_have_none(sounds):
    for ending, path in sounds.items():
        assert tags(path) == {}, ending
    assert tags(b"") == tags(b"ID3") == tags(b"\0" * 200) == {}


def test_texts_are_single_lines_of_limited_length(sounds):
    data = id3v2(4, TIT2=b"\3" + b"x" * 1_000_000, TPE1=b"\3\x1b[31mAnn\r\n\x07Lee") + sounds["mp3"].read_bytes()
    assert tags(data) == {"title": "x" * (MAX_CHARS - 1) + "…", "artist": "Ann Lee"}
    assert len(tags(id3v2(4, TPE1=b"\3" + b"\0".join(b"Ann %d" % i for i in range(9999))))["artist"]) <= MAX_CHARS


def test_damaged_tags_do_no_harm(sounds):
    rng = np.random.default_rng(7)
    for path in sounds.values():
        data = bytearray(id3v2(4, TPE1=b"\3Ann", TIT2=b"\1\xff\xfe\0") + path.read_bytes() + id3v1(b"a", b"b"))
        for _ in range(20):
            for at in rng.integers(0, min(len(data), 400), 8):
                data[at] = rng.integers(256)
            assert all(text.isprintable() for text in tags(bytes(data)).values())


def test_a_tag_with_too_many_frames_is_ignored(monkeypatch):
    monkeypatch.setattr("pipeline.sound.tags.MAX_S", 0.1)
    body = b"XXXX\0\0\0\1\0\0\0" * 500_000
    size = bytes([len(body) >> 21, len(body) >> 14 & 127, len(body) >> 7 & 127, len(body) & 127])
    assert tags(b"ID3\3\0\0" + size + body + id3v1(b"", b"Ann")) == {}
