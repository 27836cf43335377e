"""The interface of all separators: segments of waveforms in, the vocals of those segments out.

Tracks are processed in overlapping segments, so that memory does not grow with their length: a `Stream` divides one
track into segments and joins their vocals again, a `Separator` runs its network on stacked segments, and
`separate_tracks` fills the stacks from as many tracks as needed. Waveforms are float32 tensors (channels, n) at the
separator's `sample_rate_hz`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import soxr
import torch
from torch import Tensor

from encoder.precision import multiplies_bfloat16
from pipeline.sections import Precision
from pipeline.store.errors import ConfigError


@dataclass(frozen=True)
class Level:
    """Mean and standard deviation of a whole track's mono mix, by which some networks normalise their input."""

    mean: float
    std: float

    @classmethod
    def of(cls, blocks: Iterable[Tensor]) -> "Level":
        """Measure a track block by block; blocks are (channels, n). Sums are float64, merged as Chan et al. 1979."""
        n, mean, squares = 0, 0.0, 0.0
        for block in blocks:
            mono = block.mean(0).double()
            more, its_mean = len(mono), float(mono.mean())
            delta = its_mean - mean
            squares += float(((mono - its_mean) ** 2).sum()) + delta**2 * n * more / (n + more)
            mean += delta * more / (n + more)
            n += more
        return cls(mean, math.sqrt(squares / max(n - 1, 1)))


@dataclass(frozen=True)
class Segment:
    """A part of a track for the network, and the part of its vocals that is used.

    `wave`: (channels, n). `length`: the segment's samples of the track, without context and padding. `take` of the
    network's output belongs at sample `at` of the track, weighted by `weight`, (take,) or a scalar. `settled`: no later
    segment changes the vocals up to this sample of the track.
    """

    wave: Tensor
    length: int
    take: slice
    at: int
    weight: Tensor
    settled: int
    last: bool = False


class Stream(ABC):
    """One track in progress: `push` and `end` return segments, and `pull` takes their vocals in the same order."""

    def __init__(self, channels: int):
        self.held = torch.zeros(channels, 0)  # the mix from sample `start`
        self.start = self.length = 0
        self.done = 0  # vocals up to this sample have been returned
        self.sum = torch.zeros(channels, 0)
        self.weights = torch.zeros(0)
        self.failed = False

    @abstractmethod
    def segments(self, ended: bool) -> Iterator[Segment]:
        """Yield the segments that `held` is long enough for, and drop what no later segment needs."""

    def push(self, block: Tensor) -> list[Segment]:
        """Add the next block (channels, n) of the mix, and return the segments that are now complete."""
        self.held = torch.cat([self.held, block], dim=1)
        self.length += block.shape[1]
        return list(self.segments(ended=False))

    def end(self) -> list[Segment]:
        """Return the last segments of the track, which with those from `push` cover every sample."""
        return list(self.segments(ended=True)) if self.length else []

    def keep_from(self, start: int) -> None:
        """Forget the mix before sample `start`."""
        self.held, self.start = self.held[:, start - self.start :].clone(), start

    def pull(self, segment: Segment, vocals: Tensor) -> Tensor:
        """Add a segment's vocals, (channels, n of its wave), and return those that are now final."""
        piece = vocals[:, segment.take]
        weight = segment.weight.expand(piece.shape[1])
        first, last = segment.at - self.done, segment.at - self.done + piece.shape[1]
        if last > self.sum.shape[1]:
            more = last - self.sum.shape[1]
            self.sum = torch.nn.functional.pad(self.sum, (0, more))
            self.weights = torch.nn.functional.pad(self.weights, (0, more))
        self.sum[:, first:last] += weight * piece
        self.weights[first:last] += weight
        n = segment.settled - self.done
        out = self.sum[:, :n] / self.weights[:n]
        self.sum, self.weights, self.done = self.sum[:, n:].clone(), self.weights[n:].clone(), segment.settled
        return out


class Separator(ABC):
    """A network on a device that turns mixes into vocals."""

    name: str
    sample_rate_hz: int
    channels: int
    stack: int  # segments per call of the network
    needs_level = False  # whether `open` needs the track's Level
    device: torch.device

    @abstractmethod
    def open(self, level: Level | None = None) -> Stream:
        """Start a track."""

    @abstractmethod
    def run(self, waves: Tensor, length: int) -> Tensor:
        """Return the vocals of stacked segments of one shape: (b, channels, n) to (b, channels, n), on the device."""

    def shape(self, segment: Segment) -> Hashable:
        """Return a key that segments must share to be stacked."""
        return segment.wave.shape[-1]

    def separate(self, wave: Tensor) -> Tensor:
        """Return the vocals of a whole track held in memory: (channels, n) to (channels, n)."""
        if not wave.shape[1]:
            return wave
        level = Level.of([wave]) if self.needs_level else None
        pieces = []
        for piece in separate_tracks(self, [(0, level, [wave])]):
            if piece.error:
                raise piece.error
            if piece.vocals is not None:
                pieces.append(piece.vocals)
        return torch.cat(pieces, dim=1)


@dataclass(frozen=True)
class Piece:
    """A result for one track: its next vocals (channels, n), or its end, or the error with which it ended."""

    key: Hashable
    vocals: Tensor | None = None
    error: Exception | None = None


Track = tuple[Hashable, Level | None, Iterable[Tensor]]


def separate_tracks(separator: Separator, tracks: Iterable[Track]) -> Iterator[Piece]:
    """Separate tracks that are given as blocks; segments of several tracks are stacked together.

    An error while reading a track's blocks, or in the network on its segments, ends only that track.

    Args:
        separator: to run.
        tracks: `(key, level, blocks)`; `level` if the separator needs it, blocks (channels, n) of any n.

    Yields:
        Each track's vocals in order, then a `Piece` without vocals; pieces of different tracks may be interleaved.
    """
    stacks = _Stacks(separator)
    for key, level, blocks in tracks:
        yield from stacks.follow(key, separator.open(level), blocks)
    yield from stacks.flush()


class _Stacks:
    """Segments that wait to be run through the network."""

    def __init__(self, separator: Separator):
        self.separator = separator
        self.waiting: list[tuple[Hashable, Stream, Segment]] = []

    def follow(self, key: Hashable, stream: Stream, blocks: Iterable[Tensor]) -> Iterator[Piece]:
        try:
            for block in blocks:
                yield from self._add(key, stream, stream.push(block))
                if stream.failed:
                    return
        except Exception as error:
            stream.failed = True
            yield Piece(key, error=error)
            return
        last = stream.end()
        if not last:
            yield Piece(key)
        yield from self._add(key, stream, last)

    def _add(self, key: Hashable, stream: Stream, segments: list[Segment]) -> Iterator[Piece]:
        for segment in segments:
            if self.waiting and self.separator.shape(self.waiting[0][2]) != self.separator.shape(segment):
                yield from self.flush()
            self.waiting.append((key, stream, segment))
            if len(self.waiting) >= self.separator.stack:
                yield from self.flush()

    def flush(self) -> Iterator[Piece]:
        now, self.waiting = [entry for entry in self.waiting if not entry[1].failed], []
        if now:
            yield from self._run(now)

    def _run(self, now: list[tuple[Hashable, Stream, Segment]]) -> Iterator[Piece]:
        try:
            vocals = self._call([segment for _, _, segment in now])
        except Exception as error:
            if len(now) > 1:  # the stack is too big for the device, or has a bad segment: halve it
                yield from self._run(now[: len(now) // 2])
                yield from self._run(now[len(now) // 2 :])
            elif not now[0][1].failed:
                now[0][1].failed = True
                yield Piece(now[0][0], error=error)
            return
        for (key, stream, segment), piece in zip(now, vocals, strict=True):
            if not stream.failed:
                yield Piece(key, stream.pull(segment, piece))
                if segment.last:
                    yield Piece(key)

    @torch.inference_mode()
    def _call(self, segments: list[Segment]) -> Tensor:
        waves = torch.stack([segment.wave for segment in segments]).to(self.separator.device)
        return self.separator.run(waves, segments[0].length).to("cpu", torch.float32)


def best_device() -> str:
    """Return the GPU if there is one, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def vocals_of(separator: Separator, wave: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Return the vocals of a mix in memory: (1 or 2, n) to (separator's channels, n), at the mix's sample rate."""
    wide = np.broadcast_to(wave, (separator.channels, wave.shape[1]))
    at_rate = soxr.resample(wide.T, sample_rate_hz, separator.sample_rate_hz).T
    vocals = separator.separate(torch.from_numpy(np.ascontiguousarray(at_rate, np.float32))).numpy()
    back = soxr.resample(vocals.T, separator.sample_rate_hz, sample_rate_hz).T[:, : wave.shape[1]]
    return np.pad(back, ((0, 0), (0, wave.shape[1] - back.shape[1])))


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the dtype of a precision on a device; `auto` is 16 bit if the hardware computes in it.

    Raises:
        ConfigError: fp16 on a CPU, which has no fast arithmetic for it.
    """
    if precision == "fp16" and device.type == "cpu":
        raise ConfigError("separate.precision: fp16 needs a GPU; on a CPU choose bf16, fp32 or auto")
    if precision == "auto":
        if multiplies_bfloat16(device):
            return torch.bfloat16
        return torch.float16 if device.type == "cuda" else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
