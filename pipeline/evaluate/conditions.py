"""What is done to a recording before it is embedded: the same crops clean, mixed, separated or degraded.

A condition is a base and any number of changes to it, such as `clean`, `separated` or `separated/mp3_64k/crop_8s`:

    clean       the voice alone (the whole file if no channel of it is only voice)
    mix         voice and accompaniment
    separated   the vocals that the separator extracts from the mix
    band_8khz   nothing above 8 kHz          mp3_64k    through mp3 at 64 kbit/s
    pitch_+2    2 semitones up with the formants, as if played faster, but in the same time
    crop_8s     8 s around the middle of the crop, or as much of that as the recording has
    mix_20      20 % of the mix and 80 % of the previous signal, as in the clips that `shard` cuts

`robustness` stands for the list ROBUSTNESS. Crops are chosen on the clean voice and are the same under all conditions.
"""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soxr

from pipeline.evaluate.stems import Wave, split
from pipeline.sections import EvaluateConfig, ShardConfig
from pipeline.separators import Separator, vocals_of
from pipeline.sound import audio
from pipeline.sound.levels import Frames, near_the_loud
from pipeline.store.errors import ConfigError, Problem

BASES = ("clean", "mix", "separated")
AS_CLIPS = f"separated/mix_{round(100 * ShardConfig().mix_share)}"  # what the pipeline feeds an encoder
PLAIN = (*BASES, AS_CLIPS)  # all others degrade the recording
ROBUSTNESS = (
    "clean/band_8khz",
    "clean/band_4khz",
    "clean/mp3_64k",
    "clean/pitch_+2",
    "clean/pitch_-2",
    *(f"separated/crop_{seconds}s" for seconds in (1, 2, 4, 8, 16)),
)
_CHANGES = {
    "band": r"band_(\d+(?:\.\d+)?)khz",
    "mp3": r"mp3_(\d+)k",
    "pitch": r"pitch_([+-]\d+)",
    "mix": r"mix_(\d+)",
    "crop": r"crop_(\d+(?:\.\d+)?)s",
}
_FRAME_S = 0.05
# Frames this far below the loud ones of a voice are pauses, breath or bleed from the accompaniment.
_VOICED_DB = 30.0
_VOICED_PART = 0.5


@dataclass(frozen=True)
class Condition:
    """A parsed condition; `changes` are (kind, amount), in order."""

    name: str
    base: str
    changes: tuple[tuple[str, float], ...] = ()

    @property
    def crop_s(self) -> float | None:
        """The length of crops that the condition asks for, if it does."""
        lengths = [amount for kind, amount in self.changes if kind == "crop"]
        return lengths[-1] if lengths else None


def parse(name: str) -> Condition:
    """Return the condition of that name.

    Raises:
        ConfigError: a part of it is unknown.
    """
    base, *changes = name.split("/")
    if base not in BASES:
        raise ConfigError(f"condition {name!r} begins with {base!r}; it must be {', '.join(BASES)}")
    return Condition(name, base, tuple(_change(name, change) for change in changes))


def _change(name: str, text: str) -> tuple[str, float]:
    for kind, pattern in _CHANGES.items():
        found = re.fullmatch(pattern, text)
        if found:
            return kind, float(found[1])
    raise ConfigError(f"condition {name!r}: {text!r} is unknown; say band_8khz, mp3_64k, pitch_+2, mix_20 or crop_8s")


def expand(names: Sequence[str]) -> tuple[str, ...]:
    """Return names with `robustness` spelled out, each once and checked."""
    spelled = [part for name in names for part in (ROBUSTNESS if name == "robustness" else (name,))]
    return tuple(parse(name).name for name in dict.fromkeys(spelled))


class Versions:
    """One recording under any condition; each base is made once, when it is first needed."""

    def __init__(
        self,
        uri: str,
        voice: Sequence[int],
        accompaniment: Sequence[int],
        sample_rate_hz: int,
        separator: Separator | None = None,
    ) -> None:
        self.rate_hz, self.separator = sample_rate_hz, separator
        self._has_accompaniment = bool(accompaniment)
        channels = audio.read(uri, sample_rate_hz, None if voice else 2).samples
        self._stems = split(channels, voice, accompaniment, sample_rate_hz)
        self._made: dict[str, Wave] = {"clean": self._stems.voice.mean(0)}

    def wave(self, condition: Condition) -> Wave:
        """Return the whole recording, mono (n,), with all changes except the length of crops.

        Raises:
            Problem: the recording has no accompaniment to mix in.
        """
        wave = self._base(condition.base)
        for kind, amount in condition.changes:
            if kind == "band":
                wave = band_limited(wave, self.rate_hz, 1000 * amount)
            elif kind == "mp3":
                wave = through_mp3(wave, self.rate_hz, round(amount))
            elif kind == "pitch":
                wave = pitch_shifted(wave, self.rate_hz, amount)
            elif kind == "mix":
                wave = (1 - amount / 100) * wave + amount / 100 * self._stems.mix.mean(0)
        return wave

    def _base(self, base: str) -> Wave:
        if base not in self._made:
            if base == "mix" and not self._has_accompaniment:
                raise Problem("no_accompaniment", "it has no accompaniment to mix in")
            self._made[base] = self._stems.mix.mean(0) if base == "mix" else self._separated()
        return self._made[base]

    def _separated(self) -> Wave:
        assert self.separator is not None
        return vocals_of(self.separator, self._stems.mix, self.rate_hz).mean(0)


def band_limited(wave: Wave, sample_rate_hz: int, top_hz: float) -> Wave:
    """Return `wave (n,)` with nothing above `top_hz`, as if it had been stored at twice that rate."""
    if 2 * top_hz >= sample_rate_hz:
        return wave
    low = soxr.resample(wave, sample_rate_hz, 2 * top_hz)
    return _as_long_as(soxr.resample(low, 2 * top_hz, sample_rate_hz), len(wave))


def through_mp3(wave: Wave, sample_rate_hz: int, kbit_s: int) -> Wave:
    """Return `wave (n,)` encoded as mono mp3 and decoded again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mp3"
        with av.open(str(path), "w", format="mp3") as container:
            stream = container.add_stream("libmp3lame", rate=sample_rate_hz, layout="mono")
            stream.bit_rate = kbit_s * 1000
            frame = _frame(wave, sample_rate_hz, "fltp")
            for chunk in (frame, None):
                container.mux(stream.encode(chunk))
        return _as_long_as(audio.read(path, sample_rate_hz, 1).samples[0], len(wave))


def pitch_shifted(wave: Wave, sample_rate_hz: int, semitones: float) -> Wave:
    """Return `wave (n,)` at another pitch, as long as before: stretched in time (FFmpeg's WSOLA), then resampled."""
    ratio = 2.0 ** (semitones / 12)
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=sample_rate_hz, format="flt", layout="mono")
    stretch, sink = graph.add("atempo", f"{1 / ratio:.9f}"), graph.add("abuffersink")
    source.link_to(stretch)
    stretch.link_to(sink)
    graph.configure()
    pieces = []
    for frame in (_frame(wave, sample_rate_hz, "flt"), None):
        graph.push(frame)
        try:
            while True:
                pieces.append(graph.pull().to_ndarray()[0])
        except (av.BlockingIOError, av.EOFError):
            continue  # the graph needs more input, or has returned everything
    longer = np.concatenate(pieces)
    return _as_long_as(soxr.resample(longer, sample_rate_hz * ratio, sample_rate_hz), len(wave))


def _frame(wave: Wave, sample_rate_hz: int, sample_format: str) -> av.AudioFrame:
    samples = np.ascontiguousarray(wave[None], dtype=np.float32)
    frame = av.AudioFrame.from_ndarray(samples, format=sample_format, layout="mono")
    frame.sample_rate = sample_rate_hz
    return frame


def _as_long_as(wave: Wave, n: int) -> Wave:
    return np.pad(wave[:n], (0, max(0, n - len(wave))))


def choose_crops(voice: Wave, sample_rate_hz: int, config: EvaluateConfig) -> list[tuple[float, float]]:
    """Return start and end in seconds of the crops of `voice (n,)`: voiced, not overlapping, and evenly spaced.

    Raises:
        Problem: the voice is `silent`, or is never heard for `min_crop_s` (`too_short`).
    """
    frame = audio.to_samples(_FRAME_S, sample_rate_hz)
    n_frames = len(voice) // frame
    frames = Frames(frame)
    frames.add(voice[: n_frames * frame])
    voiced = near_the_loud(frames.levels_db(), _VOICED_DB, config.silence_db)
    if not voiced.any():
        raise Problem("silent", "it has no audible voice")
    width = max(1, min(round(config.crop_s / _FRAME_S), n_frames))
    starts = np.arange(0, n_frames - width + 1, width)
    parts = np.array([voiced[start : start + width].mean() for start in starts])
    chosen = starts[parts >= _VOICED_PART] if (parts >= _VOICED_PART).any() else starts[[parts.argmax()]]
    if voiced[chosen[0] : chosen[0] + width].sum() * _FRAME_S < config.min_crop_s - 1e-9:
        raise Problem("too_short", f"less than {config.min_crop_s:g} s of voice at a stretch")
    evenly = np.linspace(0, len(chosen) - 1, min(len(chosen), config.crops_per_recording)).round().astype(int)
    return [(float(start * _FRAME_S), float((start + width) * _FRAME_S)) for start in chosen[evenly]]


def crop(wave: Wave, sample_rate_hz: int, start_s: float, end_s: float, crop_s: float | None = None) -> Wave:
    """Return the crop of `wave (n,)`, or `crop_s` around its middle, shifted to lie inside the recording."""
    start, end = audio.to_samples(start_s, sample_rate_hz), audio.to_samples(end_s, sample_rate_hz)
    if crop_s is not None:
        length = min(audio.to_samples(crop_s, sample_rate_hz), len(wave))
        start = min(max(0, (start + end - length) // 2), len(wave) - length)
        end = start + length
    return wave[start:end]
