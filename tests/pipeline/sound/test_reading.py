"""Reading: what plays is read, to its end and at its length; what is not a recording is refused; limits hold."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.sound import reading
from pipeline.sound.reading import Reading
from pipeline.store.errors import Problem

ID3 = b"ID3\4\0\0\0\0\x10\0" + bytes(2048)


def read(path: Path, data: bytes) -> tuple[Reading, list[reading.Piece]]:
    path.write_bytes(data)
    found = Reading(path)
    return found, list(found.pieces())


def seconds(pieces: list[reading.Piece]) -> float:
    return sum(piece.samples.shape[1] / piece.sample_rate_hz for piece in pieces)


def wav(rate: int = 8000, channels: int = 1, n_bytes: int = 8000, riff: bytes = b"RIFF") -> bytes:
    order = "<" if riff == b"RIFF" else ">"
    data = (8000 * np.sin(np.arange(n_bytes // 2) / 3)).astype(order + "i2").tobytes()
    form = struct.pack(order + "HHIIHH", 1, channels, rate, 2 * rate * channels % 2**32, 2 * channels, 16)
    return (
        riff
        + struct.pack(order + "I", 36 + len(data))
        + b"WAVEfmt "
        + struct.pack(order + "I", 16)
        + form
        + b"data"
        + struct.pack(order + "I", len(data))
        + data
    )


def free_format(mp3: bytes, frame_bytes: int) -> bytes:
    """Return mp3 of constant bit rate as free format: without the bit rate in the frames' headers."""
    data, at = bytearray(mp3), mp3.index(b"\xff\xfb")
    while at + 4 < len(data):
        data[at + 2] &= 0x0F
        at += frame_bytes
    return bytes(data)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("mono", "stereo"),
        ("5.1", "mono"),
        ("stereo", "stereo"),
    ],
)
def test_chained_ogg_is_read_to_its_end(tmp_path, encoded, first, then):
    chain = b"".join(encoded("libopus", "ogg", layout=layout, sample_format="flt") for layout in (first, then))
    found, pieces = read(tmp_path / "chain.ogg", chain)
    assert seconds(pieces) == pytest.approx(2, abs=0.03)
    assert found.n_broken == 0
    assert np.abs(pieces[-3].samples).max() > 0.3
    assert len({len(piece.samples) for piece in pieces}) == len({first, then})


def test_chained_ogg_may_change_its_codec(tmp_path, encoded):
    soundfile.write(tmp_path / "a.ogg", 0.4 * np.sin(np.arange(22050) / 3), 22050, subtype="VORBIS")
    chain = encoded("libopus", "ogg", sample_format="flt") + (tmp_path / "a.ogg").read_bytes()
    _, pieces = read(tmp_path / "a.ogg", chain)
    assert seconds(pieces) == pytest.approx(2, abs=0.03)
    assert {piece.sample_rate_hz for piece in pieces} == {48000, 22050}


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"rate": 48000, "sample_format": "s32"}, {"rate": 44100, "sample_format": "s16", "layout": "mono"}),
        ({"rate": 44100, "sample_format": "s16"}, {"rate": 44100, "sample_format": "s32"}),
        ({"rate": 44100, "sample_format": "s16"}, {"rate": 22050, "sample_format": "s16"}),
    ],
)
def test_flac_may_change_its_format_inside(tmp_path, encoded, first, then):
    start, end = encoded("flac", "flac", **first), encoded("flac", "flac", **then)
    _, pieces = read(tmp_path / "a.flac", start + end[end.index(b"\xff\xf8") :])
    assert seconds(pieces) == pytest.approx(
        2, abs=0.4
    )  # FFmpeg's parser drops a few frames before it accepts the change
    assert {piece.sample_rate_hz for piece in pieces} == {first["rate"], then["rate"]}


def test_ac3_may_change_its_format_inside(tmp_path, encoded):
    _, pieces = read(tmp_path / "a.ac3", encoded("ac3", "ac3") + encoded("ac3", "ac3", rate=44100, layout="5.1(side)"))
    assert seconds(pieces) == pytest.approx(2, abs=0.05)
    assert {len(piece.samples) for piece in pieces} == {2, 6}


@pytest.mark.parametrize(
    "before", [np.random.default_rng(0).bytes(3000), bytes(3000), bytes(2**20)], ids=["junk", "zeros", "a MB of zeros"]
)
def test_mp3_behind_something_else_is_found(tmp_path, encoded, before):
    _, pieces = read(tmp_path / "a.mp3", before + encoded("libmp3lame", "mp3", sample_format="s16p"))
    assert seconds(pieces) == pytest.approx(1, abs=0.06)


def test_flac_without_its_header_is_found(tmp_path, encoded):
    data = encoded("flac", "flac", sample_format="s16")
    for mutilated in (data[data.index(b"\xff\xf8") :], b"xLaC" + data[4:]):
        assert seconds(read(tmp_path / "a.flac", mutilated)[1]) == pytest.approx(1, abs=0.1)


def test_the_codec_does_not_depend_on_the_name(tmp_path, encoded):
    found, pieces = read(tmp_path / "a.mp3", ID3 + encoded("libopus", "ogg", sample_format="flt"))
    assert (found.codec, seconds(pieces)) == ("opus", pytest.approx(1, abs=0.03))


def test_libsndfile_reads_what_ffmpeg_does_not(tmp_path, encoded):
    mp3 = encoded("libmp3lame", "mp3", sample_format="s16p", write_xing="0", b="128k")
    found, pieces = read(tmp_path / "free.mp3", free_format(mp3, 384))
    assert (found.codec, seconds(pieces)) == ("mpeg_layer_iii", pytest.approx(1, abs=0.06))
    assert len(found.digest.hexdigest()) == 32


def test_any_container_may_follow_an_id3_tag(tmp_path):
    found, pieces = read(tmp_path / "behind.wav", ID3 + wav(n_bytes=16000))
    assert (found.codec, seconds(pieces)) == ("pcm_s16le", 1)


def test_big_endian_and_eight_bits_are_read(tmp_path):
    _, pieces = read(tmp_path / "a.wav", wav(n_bytes=16000, riff=b"RIFX"))
    assert seconds(pieces) == 1
    assert np.abs(pieces[0].samples).max() == pytest.approx(8000 / 32768, abs=1e-3)
    soundfile.write(tmp_path / "s8.aiff", 0.5 * np.sin(np.arange(8000) / 3), 8000, subtype="PCM_S8")
    assert seconds(list(Reading(tmp_path / "s8.aiff").pieces())) == 1


@pytest.mark.parametrize("channels", [8, 17, 24, 64])
def test_many_channels_are_read(tmp_path, channels):
    soundfile.write(tmp_path / "a.wav", np.full((800, channels), 0.25), 8000)
    (piece,) = Reading(tmp_path / "a.wav").pieces()
    np.testing.assert_array_equal(piece.samples, np.full((channels, 800), 0.25, np.float32))


def test_eight_planar_channels_are_read(tmp_path, encoded):
    _, pieces = read(tmp_path / "a.m4a", encoded("aac", "ipod", layout="7.1"))
    assert {len(piece.samples) for piece in pieces} == {8}
    assert pieces[0].layout[:4] == ("FL", "FR", "FC", "LFE")


@pytest.mark.parametrize(
    ("rate", "channels", "words"),
    [
        (1, 1, "sample rate of 1 Hz is not music"),
        (2_000_000_000, 1, "2000000000 Hz"),
        (8000, 65, "65 channels"),
    ],
)
def test_impossible_rates_and_channels_are_refused(tmp_path, rate, channels, words):
    with pytest.raises(Problem, match=words):
        read(tmp_path / "a.wav", wav(rate, channels, n_bytes=8 * 130))


def test_a_file_without_channels_is_refused(tmp_path):
    with pytest.raises(Problem) as raised:
        read(tmp_path / "a.wav", wav(channels=0))
    assert raised.value.kind in ("decode", "too_short")


def test_a_file_that_would_never_end_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_S", 0.5)
    with pytest.raises(Problem, match="hours of audio"):
        read(tmp_path / "a.wav", wav(n_bytes=16000))


def test_a_folder_and_a_pipe_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp3")
    for name, words in (("pipe.mp3", "pipe"), ("", "folder")):
        with pytest.raises(Problem, match=words):
            list(Reading(tmp_path / name).pieces())


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3.3e38, -1e30])
def test_damaged_samples_are_set_to_zero_and_counted(tmp_path, bad):
    wave = np.full((1000, 2), 0.5, np.float32)
    wave[7, 1] = bad
    soundfile.write(tmp_path / "a.wav", wave, 8000, subtype="FLOAT")
    found = Reading(tmp_path / "a.wav")
    samples = np.concatenate([piece.samples for piece in found.pieces()], axis=1)
    assert (found.n_bad, found.n_samples) == (1, 1000)
    assert samples[1, 7] == 0
    assert (np.delete(samples[1], 7) == 0.5).all()


def test_audio_that_is_mostly_damage_is_a_problem(tmp_path):
    soundfile.write(tmp_path / "a.wav", 1e30 * np.sin(np.arange(8000)), 8000, subtype="FLOAT")
    with pytest.raises(Problem, match="beyond any level"):
        list(Reading(tmp_path / "a.wav").pieces())


def test_a_stream_that_starts_late_does_not_disturb_the_first(tmp_path, encoded):
    first, late = (encoded("aac", "mpegts", seconds=6, mpegts_start_pid=pid) for pid in ("256", "512"))
    found, pieces = read(tmp_path / "a.ts", first + late)
    assert seconds(pieces) == pytest.approx(6, abs=0.1)
    assert found.n_broken == 0
