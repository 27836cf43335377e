"""Files that are not recordings are named for what they are, in words that help."""

import pytest

from pipeline.sound.formats import what_it_is


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "Git LFS"),
        (b"../../.git/annex/objects/Xk/9f/SHA256E-s5--ab.mp3/SHA256E-s5--ab.mp3", "git-annex"),
        (b"<!DOCTYPE html>\n<html><head><title>404 Not Found", "web page"),
        (b"\xef\xbb\xbf  <!-- saved -->\n<HTML>", "web page"),
        (b"#EXTM3U\n#EXTINF:1,a\na.mp3\n", "playlist"),
        (b"[playlist]\nFile1=a.mp3\n", "playlist"),
        (b'<?xml version="1.0"?><playlist version="1" xmlns="http://xspf.org/ns/0/">', "playlist"),
        (b'PERFORMER "x"\nTITLE "y"\nFILE "y.wav" WAVE\n  TRACK 01 AUDIO\n', "cue sheet"),
        (b"ffconcat version 1.0\nfile a.wav\n", "list of other files"),
        (b"v=0\r\no=- 0 0 IN IP4 1.2.3.4\r\n", "SDP"),
        (b"\x89PNG\r\n\x1a\n", "picture"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "picture"),
        (b"%PDF-1.4", "PDF"),
        (b"PK\3\4\x14\0", "archive"),
        (b"MThd\0\0\0\6", "MIDI"),
        (b"\0\5\x16\7\0\2\0\0Mac OS X", "AppleDouble"),
        (b"\0\0\0\x20ftypaax ", "Audible"),
        (bytes(4096), "zero bytes"),
        ("Liebe Grüße, Ænne\n".encode(), "a text"),
    ],
)
def test_a_file_that_is_not_audio_is_named(head, words):
    assert words in what_it_is(head)


@pytest.mark.parametrize("head", [b"fLaC\0\0\0\x22", b"\xff\xfb\x90\x44", b"RIFF\x24\0\0\0WAVEfmt ", b"\x93\x01\xf0"])
def test_what_may_be_audio_is_not_named(head):
    assert what_it_is(head) is None
