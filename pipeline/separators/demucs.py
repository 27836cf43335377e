"""Demucs models (Défossez 2021; Rouard, Massa and Défossez 2023): HTDemucs, bags of it, and its predecessors.

Segments, padding, overlap weights and normalisation are those of `demucs.apply` with `shifts=0`, so the vocals are
those of the demucs API. Only the vocals are computed: of a bag, the submodels whose weight for vocals is not 0, and of
the last layers of an HTDemucs, the vocals' channels. As in demucs, the input is normalised by the mean and standard
deviation of the whole track, so a track is decoded twice.
"""

from collections.abc import Hashable, Iterator
from typing import Any

import torch
from demucs.apply import BagOfModels
from demucs.apply import Model as DemucsModel
from demucs.htdemucs import HTDemucs
from torch import Tensor, nn
from torch.nn import functional

from pipeline.sections import Precision
from pipeline.separators.attention import use_headwise_attention
from pipeline.separators.base import Level, Segment, Separator, Stream, resolve_precision

OVERLAP = 0.25


class Demucs(Separator):
    """A demucs model or bag of models, already loaded, as a separator of vocals.

    Args:
        model: has a source named `vocals`; its networks are changed in place.
    """

    needs_level = True

    def __init__(
        self,
        name: str,
        model: DemucsModel | BagOfModels,
        device: str = "cpu",
        precision: Precision = "auto",
        stack: int | None = None,
    ):
        self.name, self.device = name, torch.device(device)
        self.dtype = resolve_precision(precision, self.device)
        self.stack = stack or (1 if self.device.type == "cpu" else 8)
        loaded: Any = model
        self.sample_rate_hz, self.channels = int(loaded.samplerate), int(loaded.audio_channels)
        if "vocals" not in loaded.sources:
            raise ValueError(f"{name} has no vocals, only {', '.join(loaded.sources)}")
        vocals = list(loaded.sources).index("vocals")
        networks: list[Any] = [model]
        shares = [1.0]
        if isinstance(model, BagOfModels):
            networks, shares = list(model.models), [weights[vocals] for weights in model.weights]
        self.parts = [
            (_vocals_only(network, self.device, self.dtype), share)
            for network, share in zip(networks, shares, strict=True)
            if share
        ]
        self.segment = _segment_samples(self.parts[0][0])
        if any(_segment_samples(network) != self.segment for network, _ in self.parts):
            raise ValueError(f"{name}: its models have segments of different length")

    def open(self, level: Level | None = None) -> Stream:
        """Start a track of a known level."""
        assert level is not None, "Demucs needs the track's level"
        return _Stream(self, level)

    def padded(self, length: int) -> int:
        """Return the length of the widest input that the networks need for a segment of `length`."""
        return max(_valid_length(network, length) for network, _ in self.parts)

    def shape(self, segment: Segment) -> Hashable:
        """Return a key that segments must share to be stacked."""
        return segment.wave.shape[-1], len(
            {_valid_length(network, segment.length) for network, _ in self.parts}
        ) > 1 and segment.length

    def run(self, waves: Tensor, length: int) -> Tensor:
        """Return the vocals of segments: (b, channels, padded(length)) to the same."""
        total, out = sum(share for _, share in self.parts), torch.zeros_like(waves)
        for network, share in self.parts:
            skip = (waves.shape[-1] - length) // 2 - (_valid_length(network, length) - length) // 2
            part = waves[..., skip : skip + _valid_length(network, length)]
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                vocals = network(part)[:, list(network.sources).index("vocals")].float()
            out[..., skip : skip + part.shape[-1]] += vocals * share
        return out / total


class _Stream(Stream):
    def __init__(self, separator: Demucs, level: Level):
        super().__init__(separator.channels)
        self.separator, self.level = separator, level
        self.segment, self.next = separator.segment, 0
        half = torch.arange(1, self.segment // 2 + 1)
        weight = torch.cat([half, torch.arange(self.segment - self.segment // 2, 0, -1)])
        self.triangle = weight / weight.max()
        self.scale = level.std + 1e-8

    def push(self, block: Tensor) -> list[Segment]:
        return super().push((block - self.level.mean) / self.scale)

    def pull(self, segment: Segment, vocals: Tensor) -> Tensor:
        return super().pull(segment, vocals) * self.scale + self.level.mean

    def segments(self, ended: bool) -> Iterator[Segment]:
        stride = int((1 - OVERLAP) * self.segment)
        widest = self.separator.padded(self.segment)
        ahead = widest - self.segment - (widest - self.segment) // 2
        while self.length >= self.next + self.segment + ahead or (ended and self.next < self.length):
            length = min(self.segment, self.length - self.next)
            padded = self.separator.padded(length)
            skip = (padded - length) // 2
            last = ended and self.next + stride >= self.length
            yield Segment(
                self._window(self.next - skip, padded),
                length,
                slice(skip, skip + length),
                self.next,
                self.triangle[:length],
                settled=self.length if last else self.next + stride,
                last=last,
            )
            self.next += stride
            self.keep_from(max(self.start, min(self.length, self.next - widest)))

    def _window(self, first: int, n: int) -> Tensor:
        """Return `n` samples from `first`, zeros outside the track."""
        begin, stop = max(first, 0), min(first + n, self.length)
        held = self.held[:, begin - self.start : stop - self.start]
        return functional.pad(held, (begin - first, first + n - stop))


def _segment_samples(network: Any) -> int:
    return int(network.samplerate * network.segment)


def _valid_length(network: Any, length: int) -> int:
    return network.valid_length(length) if hasattr(network, "valid_length") else length


def _vocals_only(network: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """Return a network ready to run, without the layers that only serve other sources."""
    if isinstance(network, HTDemucs) and network.cac and hasattr(network.decoder[-1], "conv_tr"):
        n, vocals = len(network.sources), list(network.sources).index("vocals")
        for last in (network.decoder[-1].conv_tr, network.tdecoder[-1].conv_tr):
            last.weight = nn.Parameter(last.weight.unflatten(1, (n, -1))[:, vocals].contiguous())
            last.bias = nn.Parameter(last.bias.unflatten(0, (n, -1))[vocals].contiguous())
            last.out_channels //= n
        network.sources = ["vocals"]
    if device.type == "cpu" and dtype == torch.bfloat16:
        use_headwise_attention(network)
    return network.eval().requires_grad_(False).to(device)
