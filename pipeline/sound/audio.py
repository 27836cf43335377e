"""Audio in and out: the one decoder, the one resampler, the one FLAC writer, the one seconds-to-samples.

Waveforms are float32, (channels, samples), full scale at 1, and never travel without their sample rate.
Decoding is FFmpeg's (PyAV) from any local path or object-store URI; resampling is soxr's; both stream.
"""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
import soundfile
import soxr

from pipeline.store.errors import Problem
from pipeline.store.workspace import open_filesystem

BLOCK_S = 10.0
MAX_BAD_FRACTION = 0.01  # of samples that are NaN or infinite, before a file counts as damaged
SURROUND_GAIN = 1 / (1 + 2**0.5)  # FFmpeg adds centre and surround at -3 dB each: brought back to full scale
AUDIO_SUFFIXES = frozenset(
    ".aac .ac3 .aif .aifc .aiff .alac .ape .au .caf .dsf .flac .m4a .m4b .mka .mp2 .mp3 .mp4 .mpc .oga .ogg .opus "
    ".tta .wav .webm .wma .wv".split())


@dataclass(frozen=True)
class Audio:
    """A waveform and its rate: `samples` is (channels, n) float32."""

    samples: np.ndarray
    sample_rate_hz: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples.shape[1] / self.sample_rate_hz


@dataclass(frozen=True)
class Probe:
    """What a file is, found without decoding it."""

    track_id: str
    duration_s: float
    sample_rate_hz: int
    channels: int
    codec: str
    tags: dict[str, str]
    note: str | None


def to_samples(seconds: float, sample_rate_hz: int) -> int:
    """Return the number of samples in a length of time, rounded to the nearest."""
    return round(seconds * sample_rate_hz)


class _Opened:
    """An open file's first audio stream; decoding errors leave it as `Problem`s."""

    def __init__(self, uri: str | Path):
        fs, path = open_filesystem(str(uri))
        self.source = fs.open_input_file(path)
        try:
            if self.source.size() == 0:
                raise Problem("empty", "the file is empty (0 bytes)")
            self.container = av.open(self.source, metadata_errors="replace")
        except av.FFmpegError as error:
            self.source.close()
            raise Problem("decode", f"not audio, or damaged beyond reading ({error.strerror})") from error
        except Problem:
            self.source.close()
            raise
        if not self.container.streams.audio:
            self.close()
            raise Problem("decode", "the file has no audio stream")
        self.stream = self.container.streams.audio[0]

    def close(self) -> None:
        self.container.close()
        self.source.close()

    def __enter__(self) -> "_Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def probe(uri: str | Path) -> Probe:
    """Read a file's packets without decoding: identity, true length, format and tags.

    `track_id` is a 128-bit BLAKE2b over codec, rate, channels and the compressed audio itself, so a file keeps
    it when it is moved, renamed or tagged again.

    Raises:
        Problem: `empty` or `decode`, in words.
        FileNotFoundError: there is no such file.
    """
    with _Opened(uri) as opened:
        stream, container = opened.stream, opened.container
        rate, channels, codec = stream.rate or 0, stream.channels, stream.codec_context.name
        digest = hashlib.blake2b(f"{codec} {rate} {channels} ".encode(), digest_size=16)
        ticks = n_packets = 0
        first_pts, end_pts = None, 0
        try:
            for packet in container.demux(stream):
                if packet.size:
                    digest.update(memoryview(packet))
                    ticks += packet.duration or 0
                    n_packets += 1
                    if packet.pts is not None:
                        first_pts = packet.pts if first_pts is None else first_pts
                        end_pts = max(end_pts, packet.pts + (packet.duration or 0))
        except av.FFmpegError as error:
            if not n_packets:
                raise Problem("decode", f"no audio can be read from it ({error.strerror})") from error
        if not n_packets or not rate:
            raise Problem("too_short", "the file has a header but no audio")
        promised_s = float(container.duration or 0) / av.time_base
        ticks = max(ticks, end_pts - (first_pts or 0))
        duration_s = float(ticks * stream.time_base) if ticks and stream.time_base else promised_s
        short = duration_s < 0.95 * promised_s - 0.2
        note = f"{duration_s:.1f} s of audio where its header says {promised_s:.1f} s" if short else None
        tags = {key.lower(): value.strip() for key, value in (stream.metadata | container.metadata).items()}
    return Probe(digest.hexdigest(), duration_s, rate, channels, codec, tags, note)


def blocks(uri: str | Path, sample_rate_hz: int, channels: int, block_s: float = BLOCK_S) -> Iterator[np.ndarray]:
    """Decode a file of any format and length as blocks at a wanted rate, in the memory of a few blocks.

    Damaged packets are passed over, single NaN or infinite samples become 0; a file that is mostly such is a
    `Problem`.

    Args:
        channels: 1 (the mean of left and right) or 2 (mono is doubled), surround being mixed down to stereo first;
            or as many as the file has, which then stay as they are.
        block_s: length of each block but the last.

    Yields:
        (channels, n) float32.

    Raises:
        Problem: `empty`, `decode`, or `too_short` where not one sample can be had.
        FileNotFoundError: there is no such file.
    """
    want = to_samples(block_s, sample_rate_hz)
    held: list[np.ndarray] = []
    n_held = 0
    for piece in _resampled(uri, sample_rate_hz, channels):
        held.append(piece)
        n_held += piece.shape[1]
        if n_held >= want:
            joined = np.concatenate(held, axis=1)
            for start in range(0, n_held - want + 1, want):
                yield joined[:, start : start + want]
            held = [joined[:, n_held // want * want :]]
            n_held = held[0].shape[1]
    if n_held:
        yield np.concatenate(held, axis=1)


def read(uri: str | Path, sample_rate_hz: int, channels: int) -> Audio:
    """Decode a whole file; see `blocks` for what it raises. For clips and tests, not for long tracks."""
    return Audio(np.concatenate(list(blocks(uri, sample_rate_hz, channels)), axis=1), sample_rate_hz)


def _resampled(uri: str | Path, sample_rate_hz: int, channels: int) -> Iterator[np.ndarray]:
    resampler: soxr.ResampleStream | None = None
    source_rate_hz = 0
    n_out = 0
    for piece, rate in _decoded(uri, channels):
        if rate != source_rate_hz:
            source_rate_hz = rate
            resampler = soxr.ResampleStream(rate, sample_rate_hz, channels, dtype="float32") \
                if rate != sample_rate_hz else None
        out = resampler.resample_chunk(piece.T).T if resampler else piece
        n_out += out.shape[1]
        if out.shape[1]:
            yield out
    if resampler:
        tail = resampler.resample_chunk(np.zeros((0, channels), np.float32), last=True).T
        n_out += tail.shape[1]
        if tail.shape[1]:
            yield tail
    if not n_out:
        raise Problem("too_short", "the file holds no sample of audio")


def _decoded(uri: str | Path, channels: int) -> Iterator[tuple[np.ndarray, int]]:
    n_samples = n_bad = n_broken = 0
    with _Opened(uri) as opened:
        surround = opened.stream.channels > 2 and channels != opened.stream.channels
        to_float = av.AudioResampler(format="fltp", layout="stereo" if surround else None)
        opened.stream.thread_type = "AUTO"
        for frame in _frames(opened):
            if frame is None:
                n_broken += 1
                continue
            for converted in to_float.resample(frame):
                piece = converted.to_ndarray() * np.float32(SURROUND_GAIN if surround else 1)
                finite = np.isfinite(piece)
                if not finite.all():
                    n_bad += int((~finite).any(axis=0).sum())
                    piece = np.where(finite, piece, np.float32(0))
                n_samples += piece.shape[1]
                yield _with_channels(piece, channels), frame.sample_rate
    if not n_samples and n_broken:
        raise Problem("decode", f"none of its {n_broken} packets can be decoded")
    if n_bad > MAX_BAD_FRACTION * n_samples:
        raise Problem("decode", f"{n_bad} of {n_samples} samples are NaN or infinite")


def _with_channels(piece: np.ndarray, channels: int) -> np.ndarray:
    """Turn (1 or 2, n) into (channels, n)."""
    if piece.shape[0] == channels:
        return piece
    return piece.mean(axis=0, keepdims=True) if channels == 1 else np.repeat(piece, channels, axis=0)


def _frames(opened: _Opened) -> Iterator[Any]:
    """Yield decoded frames, None for a packet that cannot be decoded; end where the file breaks off."""
    packets = opened.container.demux(opened.stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return
        try:
            yield from packet.decode()
        except av.FFmpegError:
            yield None


def flac_bytes(audio: Audio) -> bytes:
    """Encode a clip as 16-bit FLAC."""
    sink = io.BytesIO()
    soundfile.write(sink, audio.samples.T, audio.sample_rate_hz, format="FLAC", subtype="PCM_16")
    return sink.getvalue()


def from_flac(data: bytes) -> Audio:
    """Decode a clip's FLAC bytes."""
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return Audio(np.ascontiguousarray(samples.T), rate)


class FlacWriter:
    """Write a local 16-bit FLAC file block by block."""

    def __init__(self, path: str | Path, sample_rate_hz: int, channels: int):
        self.file = soundfile.SoundFile(str(path), "w", sample_rate_hz, channels, format="FLAC", subtype="PCM_16")

    def write(self, block: np.ndarray) -> None:
        """Append a block, (channels, n) float32."""
        self.file.write(block.T)

    def __enter__(self) -> "FlacWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.file.close()
