"""The containers that may be opened and the codecs that may be decoded.

FFmpeg would open more than recordings: texts that name other files or network addresses (SDP, playlists, `ffconcat`),
pictures, subtitles. None of them is in `CONTAINERS`, so they are never opened, whatever a file is called, and of a film
only the sound is decoded.
"""

import re

from pipeline.store.errors import Problem

MIN_RATE_HZ, MAX_RATE_HZ = 2000, 6_000_000  # DSD512 is decoded at 2.8 MHz
MAX_CHANNELS = 64
CONTAINERS = frozenset(
    "aac ac3 aiff amr amrnb amrwb ape asf asf_o au avi avr bonk caf dsf dss dts dtshd eac3 flac flv gsm iff ircam iss "
    "loas matroska mlp mov mp3 mpc mpc8 mpeg mpegts mxf nistsphere nsv nut ogg oma osq paf pvf qcp qoa rka rm rso shn "
    "sox spdif tak truehd tta voc vqf w64 wav wsd wtv wv xwma".split()
)

HEAD_BYTES = 4096  # at the start of a file from which its kind is recognised
_NO_SOUND = (
    (
        rb"version https://git-lfs|.{0,99}/annex/objects/",
        "a pointer of Git LFS or git-annex, whose content was not fetched (`git lfs pull` fetches it)",
    ),
    (rb"\s*(<!--.*?-->\s*)?<(!doctype )?html", "a web page (HTML): what a server answered in place of the recording"),
    (
        rb"\s*#EXTM3U|\s*\[playlist\]|.{0,200}<(playlist|smil|asx|MPD)\b"
        rb"|.{0,999}\bFILE .{1,300} (WAVE|MP3|AIFF|BINARY)\b",
        "a playlist or cue sheet, which names recordings and contains none",
    ),
    (rb"ffconcat version", "a list of other files (ffconcat)"),
    (rb"v=0\r?\n", "the description of a network stream (SDP)"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|BM.{4}\0\0\0\0|RIFF.{4}WEBP|II\*\0|MM\0\*", "a picture"),
    (rb"%PDF", "a PDF document"),
    (rb"PK\x03\x04|Rar!|7z\xbc\xaf|\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd", "an archive; unpack it first"),
    (rb"MThd|RIFF.{4}RMID", "MIDI: notes, not a recording"),
    (rb"\x00\x05\x16[\x00\x07]", "a resource file of macOS (AppleDouble)"),
    (rb".{4}ftypaaxc?", "a copy-protected Audible book"),
)


def what_it_is(head: bytes) -> str | None:
    """Return the kind of a file without a recording, from its first `HEAD_BYTES`, or None if that is unclear."""
    plain = head.removeprefix(b"\xef\xbb\xbf")
    for pattern, words in _NO_SOUND:
        if re.match(pattern, plain, re.IGNORECASE | re.DOTALL):
            return words
    if not head.strip(b"\0"):
        return "nothing but zero bytes: its content was never written"
    try:
        text = plain[:1000].decode(errors="strict") if len(plain) < 1000 else plain[:1000].decode(errors="ignore")
    except UnicodeDecodeError:
        return None
    return "a text" if text.isprintable() or all(sign.isprintable() or sign.isspace() for sign in text) else None


def check_music(sample_rate_hz: int, channels: int) -> None:
    """Check that a rate and a number of channels are plausible for music.

    Raises:
        Problem: they are not.
    """
    if not MIN_RATE_HZ <= sample_rate_hz <= MAX_RATE_HZ:
        raise Problem("decode", f"a sample rate of {sample_rate_hz} Hz is not music")
    if not 1 <= channels <= MAX_CHANNELS:
        raise Problem("decode", f"{channels} channels are not music (1 to {MAX_CHANNELS} are read)")
