"""Only containers of audio are opened, from their own bytes; and how far their headers are believed."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from pipeline.sound.container import audio_stream, opened, packets, promised_s
from pipeline.sound.stretch import open_bytes
from pipeline.store.errors import Problem


def open_container(path: Path, data: bytes) -> Any:
    path.write_bytes(data)
    return opened(open_bytes(path))


SDP = (
    b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 97\n"
    b"a=rtpmap:97 opus/48000/2\n"
)
MPD = (
    b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" mediaPresentationDuration="PT1S">'
    b'<Period><AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="100"><BaseURL>song.wav</BaseURL>'
    b"</Representation></AdaptationSet></Period></MPD>"
)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (SDP, "network stream"),
        (b"ffconcat version 1.0\nfile song.wav\n", "list of other files"),
        (MPD, "playlist"),
        (b"ffconcat version 1.0\nfile a.mp3\nfile a.mp3\n", "list of other files"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsong.wav\n#EXT-X-ENDLIST\n", "playlist"),
        (b"sine=frequency=440:duration=1", "a text"),
    ],
    ids=["sdp", "concat", "dash", "concat of itself", "hls", "lavfi"],
)
@pytest.mark.parametrize("suffix", ["mp3", "m3u8", "sdp", "ffconcat", "mpd"])
def test_nothing_but_the_file_itself_is_ever_opened(tmp_path, monkeypatch, data, words, suffix):
    soundfile.write(tmp_path / "song.wav", np.zeros(8000), 8000)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Problem, match=words):
        open_container(tmp_path / f"a.{suffix}", data)


def test_only_the_sound_of_a_film_is_read(tmp_path):
    with av.open(str(tmp_path / "film.mkv"), "w") as out:
        film, sound = out.add_stream("mpeg4", rate=10), out.add_stream("pcm_s16le", rate=8000, layout="mono")
        film.width = film.height = 64
        for _ in range(10):
            out.mux(film.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        out.mux([*film.encode(None), *sound.encode(frame), *sound.encode(None)])
    with opened(open_bytes(tmp_path / "film.mkv")) as container:
        stream = audio_stream(container)
        assert stream.codec_context.name == "pcm_s16le"
        assert sum(frame.samples for packet in packets(container, stream) for frame in packet.decode()) > 0


def test_a_film_without_sound_has_no_audio_stream(tmp_path):
    with av.open(str(tmp_path / "film.mkv"), "w") as out:
        film = out.add_stream("mpeg4", rate=10)
        film.width = film.height = 64
        out.mux(film.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        out.mux(film.encode(None))
    with opened(open_bytes(tmp_path / "film.mkv")) as container, pytest.raises(Problem, match="no audio stream"):
        audio_stream(container)


def test_a_codec_without_a_decoder_is_reported(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[20:22] = b"\x99\x99"  # a format tag that no codec has
    with open_container(tmp_path / "a.wav", data) as container, pytest.raises(Problem, match="no decoder"):
        audio_stream(container)


@pytest.mark.parametrize(("xing", "promised"), [("1", True), ("0", False)])
def test_a_length_estimated_from_size_and_bit_rate_is_not_believed(tmp_path, encoded, xing, promised):
    data = encoded("libmp3lame", "mp3", sample_format="s16p", seconds=2, write_xing=xing, b="128k")
    data = data[: len(data) // 2]
    with open_container(tmp_path / "a.mp3", data) as container:
        stream = audio_stream(container)
        first = next(packets(container, stream))
        found = promised_s(container, stream, len(data) - first.pos)
    assert found == (pytest.approx(2, abs=0.1) if promised else None)
