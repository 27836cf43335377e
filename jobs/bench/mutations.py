"""Generate damaged and unusual files: real encoders' output with one of `MUTATIONS`.

File `i` of a seed is the same in every run.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile

from pipeline.demo.mix import perform
from pipeline.demo.singer import draw_singers

RATE, LENGTH_S = 44100, 2.5
HEAD = 400  # bytes that hold most of a container's numbers
NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

# suffix: encoder, sample format, rate, layout, container
ENCODINGS = {
    "mp3": ("libmp3lame", "s16p", 44100, "stereo", "mp3"),
    "mono.mp3": ("libmp3lame", "s16p", 22050, "mono", "mp3"),
    "mp2": ("mp2", "s16", 48000, "stereo", "mp2"),
    "flac": ("flac", "s16", 44100, "stereo", "flac"),
    "24.flac": ("flac", "s32", 96000, "stereo", "flac"),
    "opus": ("libopus", "flt", 48000, "stereo", "ogg"),
    "mka": ("libopus", "flt", 48000, "mono", "matroska"),
    "webm": ("libopus", "flt", 48000, "stereo", "webm"),
    "m4a": ("aac", "fltp", 44100, "stereo", "ipod"),
    "alac.m4a": ("alac", "s16p", 44100, "stereo", "ipod"),
    "aac": ("aac", "fltp", 44100, "stereo", "adts"),
    "mov": ("aac", "fltp", 48000, "5.1", "mov"),
    "ac3": ("ac3", "fltp", 48000, "5.1", "ac3"),
    "eac3": ("eac3", "fltp", 48000, "stereo", "eac3"),
    "wma": ("wmav2", "fltp", 44100, "stereo", "asf"),
    "wv": ("wavpack", "s16p", 44100, "stereo", "wv"),
    "tta": ("tta", "s16", 44100, "stereo", "tta"),
    "amr": ("libopencore_amrnb", "s16", 8000, "mono", "amr"),
    "ts": ("aac", "fltp", 44100, "stereo", "mpegts"),
    "flv": ("libmp3lame", "s16p", 44100, "stereo", "flv"),
    "avi": ("libmp3lame", "s16p", 44100, "stereo", "avi"),
    "3gp": ("aac", "fltp", 44100, "mono", "3gp"),
    "mp4": ("ac3", "fltp", 48000, "stereo", "mp4"),
    "caf": ("pcm_s16be", "s16", 44100, "stereo", "caf"),
    "au": ("pcm_mulaw", "s16", 8000, "mono", "au"),
    "adpcm.wav": ("adpcm_ms", "s16", 22050, "stereo", "wav"),
}
SNDFILES = {
    "wav": ("WAV", "PCM_16"),
    "24.wav": ("WAV", "PCM_24"),
    "float.wav": ("WAV", "FLOAT"),
    "ogg": ("OGG", "VORBIS"),
    "aiff": ("AIFF", "PCM_16"),
    "8.aiff": ("AIFF", "PCM_S8"),
    "w64": ("W64", "PCM_16"),
    "voc": ("VOC", "PCM_16"),
    "rf64": ("RF64", "PCM_16"),
}

Mutation = Callable[[bytearray, bytes, np.random.Generator], bytes | bytearray]


def _place(data: bytes | bytearray, rng: np.random.Generator) -> int:
    return int(rng.integers(max(1, len(data))))


def _flip(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    for _ in range(int(rng.integers(1, 100))):
        data[_place(data, rng)] ^= 1 << int(rng.integers(8))
    return data


def _flip_head(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    for _ in range(int(rng.integers(1, 6))):
        data[int(rng.integers(min(HEAD, len(data))))] = int(rng.integers(256))
    return data


def _number(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    at, size = int(rng.integers(min(HEAD, len(data)))), int(rng.choice([2, 4, 8]))
    number = int(rng.choice(NUMBERS)) % 2 ** (8 * size)
    data[at : at + size] = number.to_bytes(size, str(rng.choice(["little", "big"])))
    return data


def _cut_short(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    return data[: _place(data, rng)]


def _cut_out(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    at = _place(data, rng)
    del data[at : at + int(rng.integers(1, 5000))]
    return data


def _zeros(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    at, n = _place(data, rng), int(rng.integers(1, 20_000))
    data[at : at + n] = bytes(len(data[at : at + n]))
    return data


def _junk(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    at = _place(data, rng) if rng.random() < 0.5 else 0
    data[at:at] = rng.bytes(int(rng.integers(1, 50_000)))
    return data


def _again(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    at = _place(data, rng)
    data[at:at] = data[_place(data, rng) :]
    return data


def _chained(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    return data + other


def _spliced(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    return data[: _place(data, rng)] + other[_place(other, rng) :]


def _tagged(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    n = int(rng.integers(10_000))
    return b"ID3\4\0\0" + bytes((n >> shift) & 0x7F for shift in (21, 14, 7, 0)) + rng.bytes(n) + data


def _as_it_is(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    return data


MUTATIONS: dict[str, Mutation] = {
    "bits flipped": _flip,
    "head damaged": _flip_head,
    "head with odd numbers": _number,
    "cut short": _cut_short,
    "piece missing": _cut_out,
    "zeros inside": _zeros,
    "junk before or inside": _junk,
    "piece repeated": _again,
    "another file behind": _chained,
    "half another file": _spliced,
    "behind an ID3 tag": _tagged,
    "under another's name": _as_it_is,
}


def originals(folder: Path | None) -> list[tuple[str, bytes]]:
    """Return the files to mutate, as suffix and bytes: encodings of a short song, and files from a folder."""
    generator = np.random.default_rng(2)
    song = perform(draw_singers(["ann"], generator), 12.0, "keys", RATE, generator).mix[:, 4 * RATE :]
    song = np.ascontiguousarray(song[:, : round(RATE * LENGTH_S)], np.float32)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "song"
        found = []
        for suffix, encoding in ENCODINGS.items():
            _encode(path, song, *encoding)
            found.append((suffix, path.read_bytes()))
        for suffix, (form, subtype) in SNDFILES.items():
            with soundfile.SoundFile(path, "w", RATE, 2, subtype, format=form) as file:
                file.write(song.T)
            found.append((suffix, path.read_bytes()))
    theirs = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size) if folder else []
    return found + [(path.name[-40:], path.read_bytes()) for path in theirs]


def _encode(
    path: Path, song: np.ndarray, codec: str, sample_format: str, rate_hz: int, layout: str, container: str
) -> None:
    with av.open(str(path), "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=rate_hz, layout=layout)
        stream.codec_context.format = sample_format
        stream.bit_rate = 12_200 if codec == "libopencore_amrnb" else 128_000
        frame = av.AudioFrame.from_ndarray(song, format="fltp", layout="stereo")
        frame.sample_rate = RATE
        resampler = av.AudioResampler(sample_format, layout, rate_hz, stream.codec_context.frame_size or 1024)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))


def generate(folder: Path, files: Sequence[tuple[str, bytes]], n: int, seed: int) -> None:
    """Write `n` mutated files; file `i` depends only on the seed and `i`."""
    names = list(MUTATIONS)
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        (suffix, data), (other_suffix, other) = (files[int(rng.integers(len(files)))] for _ in range(2))
        name = names[i % len(names)]
        suffix = other_suffix if name == "under another's name" else suffix
        mutated = MUTATIONS[name](bytearray(data), other, rng)
        (folder / f"{i:05d} {name}.{suffix}".replace("'", "")).write_bytes(mutated)
