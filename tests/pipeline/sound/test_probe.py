"""What a probe finds: a file's identity, its length, and what is wrong with it."""

import re
import shutil

import av
import mutagen
import numpy as np
import pytest
import soundfile

from pipeline.sound.probe import probe
from pipeline.store.errors import Problem


def test_identity_depends_on_the_audio_and_not_on_name_or_tags(song, tmp_path, tone):
    before = probe(song)
    moved = tmp_path / "elsewhere" / "Ünïcode name.flac"
    moved.parent.mkdir()
    shutil.copy(song, moved)
    tagged = mutagen.File(moved)
    tagged["artist"] = ["Someone", "Björk".encode().decode("latin-1")]
    tagged.save()
    after = probe(moved)
    assert after.track_id == before.track_id
    assert after.tags == {"artist": "Someone; Björk"}
    assert before.tags == {}
    soundfile.write(song, tone(3.0, 44100, 2, hz=441.0), 44100)
    assert probe(song).track_id != before.track_id


def test_it_returns_rate_channels_codec_and_length(song):
    found = probe(song)
    assert (found.sample_rate_hz, found.channels, found.codec) == (44100, 2, "flac")
    assert found.duration_s == 3.0
    assert found.note is None
    assert len(found.track_id) == 32


def test_less_audio_than_the_header_states_is_noted(tmp_path):
    path = tmp_path / "song.flac"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 44100 * 4), 44100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = probe(path)
    assert f"{found.duration_s:.1f} s of audio where its header says 4.0 s" in found.note
    assert found.duration_s == pytest.approx(2.0, abs=0.2)


def test_missing_frames_are_noted(tmp_path):
    path = tmp_path / "song.flac"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 44100 * 4), 44100)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + data[len(data) // 2 + 20_000 :])
    found = probe(path)
    assert 3.5 < found.duration_s < 3.86
    assert found.note == f"{found.duration_s:.1f} s of audio where its header says 4.0 s"


def test_more_audio_than_the_header_states_is_noted(tmp_path, encoded):
    once = encoded("flac", "flac", sample_format="s16", seconds=2)
    frames = once.index(b"\xff\xf8")
    (tmp_path / "twice.flac").write_bytes(once + once[frames + (len(once) - frames) * 9 // 10 :])
    found = probe(tmp_path / "twice.flac")
    assert 2.03 < found.duration_s < 2.2  # a lossy codec may add as much
    assert found.note == f"{found.duration_s:.1f} s of audio where its header says 2.0 s"
    (tmp_path / "a.mp3").write_bytes(encoded("libmp3lame", "mp3", sample_format="s16p", seconds=2, write_xing="1"))
    assert probe(tmp_path / "a.mp3").note is None  # with the encoder's padding


def test_a_chain_states_the_length_of_all_its_links(tmp_path, encoded):
    links = [encoded("libopus", "ogg", layout=layout, sample_format="flt") for layout in ("mono", "stereo")]
    path = tmp_path / "chain.ogg"
    path.write_bytes(b"".join(links))
    assert probe(path).note is None
    for spoilt, n in ((0, 1), (1, 0)):
        broken = list(links)
        broken[spoilt] = broken[spoilt].replace(b"OpusHead", b"NobodyIs")
        path.write_bytes(b"".join(broken))
        found = probe(path)
        assert found.duration_s == pytest.approx(1.0, abs=0.03)
        assert found.channels == n + 1
        assert found.note.startswith("a part of it cannot be read: ")


def test_an_unusual_way_of_reading_a_file_is_noted(tmp_path, encoded):
    path = tmp_path / "song.m4a"
    path.write_bytes(b"ID3\4\0\0\0\0\x10\0" + bytes(2048) + encoded("alac", "ipod", sample_format="s16p"))
    found = probe(path)
    assert (found.codec, found.duration_s) == ("alac", 1.0)
    assert found.note == "it begins with an ID3 tag, which its format does not have"
    path.write_bytes(encoded("pcm_s16be", "caf", sample_format="s16").replace(b"desc\0\0\0\0\0", b"desc\0\0\0\0\x8b"))
    found = probe(path)
    assert (found.codec, found.duration_s) == ("pcm_16", 1.0)
    assert found.note == "read by libsndfile: FFmpeg cannot open it"


def test_if_no_header_states_a_length_nothing_is_noted(tmp_path, encoded):
    loud, quiet = (
        encoded("libmp3lame", "mp3", layout="mono", sample_format="s16p", seconds=2, write_xing="0", b=rate)
        for rate in ("128k", "32k")
    )
    (tmp_path / "a.mp3").write_bytes(quiet + loud)  # FFmpeg takes the first frames' bit rate for that of the whole
    found = probe(tmp_path / "a.mp3")
    assert found.duration_s == pytest.approx(4.0, abs=0.1)
    assert found.note is None


def test_the_length_is_that_of_the_audio_whatever_the_time_stamps_say(tmp_path, encoded):
    (tmp_path / "a.flac").write_bytes(encoded("flac", "flac", sample_format="s16", seconds=2))
    with av.open(str(tmp_path / "a.flac")) as source, av.open(str(tmp_path / "a.mka"), "w") as jumping:
        stream = jumping.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux():
            if packet.size:
                packet.stream = stream
                packet.pts = packet.dts = packet.pts + (10**9 if packet.pts > 48000 else 0)
                jumping.mux(packet)
    found = probe(tmp_path / "a.mka")
    assert found.duration_s == pytest.approx(2.0, abs=0.1)
    assert found.note == "2.0 s of audio where its header says 20835.3 s"


def test_damaged_samples_are_noted(tmp_path, tone):
    wave = tone(1.0, 8000)
    wave[100:103, 0] = np.nan, np.inf, 3.3e38
    soundfile.write(tmp_path / "a.wav", wave, 8000, subtype="FLOAT")
    assert probe(tmp_path / "a.wav").note == "3 samples are NaN, infinite or beyond any level: set to 0"


def test_packets_that_cannot_be_decoded_are_noted(tmp_path, encoded):
    data = bytearray(encoded("libmp3lame", "mp3", sample_format="s16p", seconds=2, b="128k"))
    for frame in range(len(data) // 3, len(data) * 2 // 3, 384 * 5):
        data[frame : frame + 384] = bytes(384)
    (tmp_path / "a.mp3").write_bytes(data)
    assert re.search(r"\d of \d+ packets cannot be decoded", probe(tmp_path / "a.mp3").note)


def test_it_shows_that_it_is_working(song):
    calls = []
    probe(song, lambda: calls.append(1))
    assert len(calls) > 10


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        probe(tmp_path / "nowhere.mp3")


def test_a_file_without_sound_is_a_problem(tmp_path):
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 8000)
    with pytest.raises(Problem) as raised:
        probe(tmp_path / "none.wav")
    assert raised.value.kind == "too_short"
