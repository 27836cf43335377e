"""Decode a file from its bytes into pieces of samples, with the sample rate and channels that each piece has.

FFmpeg (PyAV) decodes; libsndfile is tried if FFmpeg cannot open the file. Both get bytes, never a path or an address.
They know only the ending of the file's name, which helps if the beginning of the file is missing.
"""

import collections
import contextlib
import hashlib
import itertools
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile

from pipeline.sound.container import audio_stream, not_audio, opened, packets, promised_s
from pipeline.sound.formats import check_music
from pipeline.sound.stretch import Stretch, open_bytes
from pipeline.store.errors import Problem

MAX_S = 24 * 3600.0
LOUDEST = 1e6  # relative to full scale; a higher level is damage
MAX_BAD_FRACTION = 0.01  # of samples that may be damaged
FRAME = 8192  # samples that are passed on together
ALONE = frozenset(("mp3", "mp3float", "aac", "vorbis", "opus", "libopus", "flac", "alac"))  # and PCM; see `_skip`


@dataclass(frozen=True)
class Piece:
    """Some samples of a file: (channels, n) float32, their rate, and FFmpeg's names of the channels."""

    samples: np.ndarray
    sample_rate_hz: int
    layout: tuple[str, ...]


class Reading:
    """One pass over a file, and what was found in it so far.

    Attributes:
        codec, sample_rate_hz, channels: at the beginning of the audio.
        tags: the file's own, as FFmpeg reads them.
        is_lossless: whether the codec returns exactly the samples that were encoded.
        digest: of codec, rate, channels and the compressed audio.
        n_bad: samples that were not a number or beyond any level, and became 0.
        n_packets, n_broken: packets, and those of them that cannot be decoded.
        remarks: what was lost of the file, and how the rest had to be read.
        begins_s: time in the file at which the first piece begins.

    Args:
        uri: of the file.
        skip_s: time up to which packets are skipped, approximately, if decoding can begin in the middle of the file.
    """

    def __init__(self, uri: str | Path, skip_s: float = 0.0):
        self.uri, self.skip_s, self.begins_s = uri, skip_s, 0.0
        self.has_passed = False  # whether a packet was skipped
        self.codec, self.sample_rate_hz, self.channels = "", 0, 0
        self.tags: dict[str, str] = {}
        self.is_lossless = False
        self.remarks: list[str] = []
        self._promised_s: list[float | None] = []  # of each link of a chain
        self.digest = hashlib.blake2b(digest_size=16)
        self._at_rate: collections.Counter[int] = collections.Counter()  # samples so far
        self.n_bad = self.n_packets = self.n_broken = 0

    @property
    def n_samples(self) -> int:
        """The number of samples so far."""
        return self._at_rate.total()

    @property
    def read_s(self) -> float:
        """The seconds of audio so far."""
        return sum(n / rate_hz for rate_hz, n in self._at_rate.items())

    @property
    def promised_s(self) -> float | None:
        """The length that the header states, or all headers of a chain together; None if one of them states none."""
        stated = [length_s for length_s in self._promised_s if length_s is not None]
        return sum(stated) if stated and len(stated) == len(self._promised_s) else None

    def pieces(self) -> Generator[Piece, None, None]:
        """Yield the file's audio; damaged packets are skipped, and damaged samples are 0.

        Raises:
            Problem: `empty`, `decode`, or `too_short` if the file has no samples.
            FileNotFoundError, PermissionError: the file does not exist, or may not be read.
        """
        file = open_bytes(self.uri)
        try:
            for piece in self._decoded(file):
                self._at_rate[piece.sample_rate_hz] += piece.samples.shape[1]
                if self.read_s > MAX_S:
                    raise Problem("decode", f"more than {MAX_S / 3600:g} hours of audio come out of it")
                yield self._mended(piece)
        finally:
            file.close()
        if not self.n_samples:
            raise (
                Problem("decode", f"none of its {self.n_broken} packets can be decoded")
                if self.n_broken
                else Problem("too_short", "the file has a header but no audio")
            )
        if self.n_bad > MAX_BAD_FRACTION * self.n_samples:
            raise Problem("decode", f"{self.n_bad} of {self.n_samples} samples are NaN, infinite or beyond any level")

    def _decoded(self, file: Stretch) -> Iterator[Piece]:
        problems: list[Problem] = []
        for link in file.links():
            if link.size < file.size:  # its packets' times are not those of the file
                self.skip_s = 0.0
            try:
                yield from self._by_ffmpeg(link)
            except Problem as problem:
                problems.append(problem)
        if self.n_samples:
            self.remarks += [f"a part of it cannot be read: {problem}" for problem in problems[:1]]
            return
        if behind := file.behind_id3():
            self.skip_s = 0.0
            with contextlib.suppress(Problem):
                yield from self._by_ffmpeg(behind)
            if self.n_samples:
                self.remarks.append("it begins with an ID3 tag, which its format does not have")
                return
        try:
            yield from self._by_libsndfile(file)
        except soundfile.LibsndfileError:
            if problems:
                raise problems[0] from None
        else:
            self.remarks += ["read by libsndfile: FFmpeg cannot open it"] if problems else []

    def _by_ffmpeg(self, file: Stretch) -> Iterator[Piece]:
        if file.head(4) == b"RIFX":  # FFmpeg would read it in the wrong byte order
            return
        with opened(file) as container:
            stream = audio_stream(container)
            if not stream.codec_context.sample_rate or not stream.channels:
                raise not_audio(file)
            if not self.codec:
                self.tags = {
                    key.lower(): value.strip() for key, value in (stream.metadata | container.metadata).items()
                }
                self._begin(stream.codec_context.name, stream.codec_context.sample_rate, stream.channels)
                self.is_lossless = stream.codec_context.codec.lossless
            self._skip(container, stream)
            try:
                yield from _converted(self._placed(self._frames(container, stream, file.size), stream))
            except av.FFmpegError as error:
                raise Problem("decode", f"its audio cannot be converted to samples ({error.strerror})") from error

    def _by_libsndfile(self, file: Stretch) -> Iterator[Piece]:
        file.seek(0)
        with soundfile.SoundFile(file) as sound:
            self._promised_s = [sound.frames / sound.samplerate]
            self._begin(sound.subtype.lower(), sound.samplerate, sound.channels)
            while len(block := sound.read(FRAME, dtype="float32", always_2d=True)):
                self.digest.update(block)
                yield Piece(block.T, sound.samplerate, ("NONE",) * sound.channels)

    def _begin(self, codec: str, sample_rate_hz: int, channels: int) -> None:
        check_music(sample_rate_hz, channels)
        self.codec, self.sample_rate_hz, self.channels = codec, sample_rate_hz, channels
        self.digest = hashlib.blake2b(f"{codec} {sample_rate_hz} {channels} ".encode(), digest_size=16)

    def _frames(self, container: Any, stream: Any, size: int) -> Iterator[Any]:
        """Yield decoded frames, skipping packets that cannot be decoded, up to where the file breaks off."""
        decoder, is_first = stream.codec_context, True
        for packet in itertools.chain(packets(container, stream), [None]):  # None flushes the decoder
            if packet is not None:
                if not self.n_packets and self._passes(packet, stream):
                    self.has_passed = True
                    continue
                if is_first:
                    self._promised_s.append(promised_s(container, stream, size - (packet.pos or 0)))
                    is_first = False
                self.digest.update(memoryview(packet))
                self.n_packets += 1
            try:
                yield from decoder.decode(packet)
            except av.FFmpegError:
                if decoder.name == "flac":  # it keeps the sample depth of the first frame; a new decoder does not
                    decoder = av.CodecContext.create("flac", "r")
                    with contextlib.suppress(av.FFmpegError):
                        yield from decoder.decode(packet)
                        continue
                self.n_broken += 1

    def _skip(self, container: Any, stream: Any) -> None:
        """Seek to where reading should begin, if decoding can begin there."""
        codec = stream.codec_context.name
        if self.skip_s <= 0 or not (codec in ALONE or codec.startswith("pcm_")):
            self.skip_s = 0.0
            return
        with contextlib.suppress(av.FFmpegError):  # its packets are then skipped one by one
            container.seek(int(self.skip_s / stream.time_base) + (stream.start_time or 0), stream=stream)
            self.has_passed = True

    def _passes(self, packet: Any, stream: Any) -> bool:
        """Return whether a packet is skipped because it ends early enough."""
        if not self.skip_s or packet.pts is None:
            return False
        return _place_s(packet.pts + (packet.duration or 0), packet, stream) < self.skip_s

    def _placed(self, frames: Iterable[Any], stream: Any) -> Iterator[Any]:
        """Yield frames, and note where the first one begins if packets were skipped."""
        for i, frame in enumerate(frames):
            if i == 0 and self.has_passed:
                if frame.pts is None:
                    raise Problem("decode", "its audio does not say where in the file it is")
                self.begins_s = _place_s(frame.pts, frame, stream)
            yield frame

    def _mended(self, piece: Piece) -> Piece:
        flat = piece.samples.T.reshape(-1)
        with np.errstate(over="ignore", invalid="ignore"):
            if np.dot(flat, flat) <= LOUDEST**2:  # false if one of them is NaN
                return piece
        sound = np.abs(piece.samples) <= LOUDEST
        self.n_bad += int((~sound).any(axis=0).sum())
        return replace(piece, samples=np.where(sound, piece.samples, np.float32(0)))


def _converted(frames: Iterable[Any]) -> Iterator[Piece]:
    """Convert frames of any sample format into pieces; rate, channels and format may change within the file."""
    for (rate_hz, channels, *_), alike in itertools.groupby(frames, _setup):
        check_music(rate_hz, channels)
        first = next(alike)
        layout = tuple(channel.name for channel in first.layout.channels)
        # Packed, since PyAV reads beyond the planes of a frame with eight of them.
        converter = av.AudioResampler(format="flt", frame_size=FRAME)
        for frame in itertools.chain([first], alike, [None]):
            for packed in converter.resample(frame):
                yield Piece(packed.to_ndarray().reshape(-1, channels).T, rate_hz, layout)


def _place_s(pts: int, timed: Any, stream: Any) -> float:
    """Return the time of a packet or frame in seconds from the beginning of its stream."""
    return float(pts * timed.time_base - (stream.start_time or 0) * stream.time_base)


def _setup(frame: Any) -> tuple[int, int, str, str]:
    return frame.sample_rate, frame.layout.nb_channels, frame.layout.name, frame.format.name
