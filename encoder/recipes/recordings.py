"""The recipe's recordings, each a voice clean, separated and in its mix, and the crops of them that a step hears."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from encoder.augment.level import add_at
from encoder.augment.warp import play_at
from encoder.config import Chance, Frozen

RATE_HZ = 16000
CLEAN, SEPARATED, MIX = range(3)  # channels of a recording
FULL_SCALE = 32768
SHARES = {"karaoke": 0.25, "speech": 0.22, "voicebanks": 0.1, "humming": 0.23, "previews": 0.2}
Floats = NDArray[np.float32]
Shorts = NDArray[np.int16]


class RecipeConfig(Frozen):
    """Everything that shapes the result."""

    layers: int = 2
    mlp_ratio: float = 1.0
    loudness: float = 0.2  # of the student; the teacher hears clean voices, and all frames alike
    crops: int = Field(default=48, ge=2)  # in a batch
    crop_s: float = 2.5
    speeds: tuple[float, ...] = (1.0, 0.88, 1.14, 0.94, 1.07)
    shares: dict[str, float] = Field(default=SHARES)  # of a batch, by set; others: by their number of singers
    clean: float = 0.2  # share of crops that the student hears clean
    leaking: float = 0.3  # share of crops with some of the mix let back in
    leak: tuple[float, float] = (0.02, 0.4)  # of the mix in those
    residue: Chance = Chance(probability=0.3, low=5, high=22)  # dB of voice over what another song's separation left
    steps: int = 120
    relative_rate: float = 5e-4  # learning rate of what comes from CAM++, as a share of each tensor's own scale
    relative_rate_new: float = 2e-3  # of transformer and attention
    warmup: int = 40
    keep_every: int = 100
    ema: float = 0.99
    temperature: float = 0.1
    frames: float = 1.0
    cosine: float = 5.0
    contrastive: float = 0.5
    fixed: tuple[str, ...] = ("head",)  # layers that stay as they are
    seed: int = 0


@dataclass(frozen=True)
class Recording:
    """A voice three times over, sample by sample: (3, samples) of `CLEAN`, `SEPARATED`, `MIX`, in 16 bits."""

    group: str
    singer: str
    samples: Shorts


@dataclass(frozen=True)
class Crops:
    """What a step hears. student, teacher: (n, samples); singers: (n,) int64, equal where they may be one person."""

    student: Tensor
    teacher: Tensor
    singers: Tensor


def read_recordings(folder: Path) -> list[Recording]:
    """All of `<set>/<singer>/*.flac`. Raises ValueError for another rate or number of channels."""
    found = []
    for path in sorted(folder.glob("*/*/*.flac")):
        samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
        if rate != RATE_HZ or samples.shape[1] != 3:
            raise ValueError(f"{path}: {rate} Hz, {samples.shape[1]} channels; wanted {RATE_HZ} Hz and 3 channels")
        found.append(Recording(path.parent.parent.name, path.parent.name, np.ascontiguousarray(samples.T)))
    return found


def crop(samples: Shorts, size: int, rng: np.random.Generator, tries: int = 6) -> Floats:
    """A random stretch with voice in at least 40 % of it, if one is found soon. -> (3, size), within 1."""
    if samples.shape[1] < size:
        samples = np.pad(samples, ((0, 0), (0, size - samples.shape[1])), mode="wrap")
    for _ in range(tries):
        start = int(rng.integers(samples.shape[1] - size + 1))
        piece = samples[:, start : start + size].astype(np.float32) / np.float32(FULL_SCALE)
        level = np.sqrt(np.square(piece[CLEAN, : size // 800 * 800].reshape(-1, 800)).mean(1))
        if (level > max(0.05 * level.max(), 3e-4)).mean() > 0.4:
            break
    return piece


class Drawer:
    """Draws crops: which recording, from where, at what speed, and how it is heard."""

    def __init__(self, recordings: list[Recording], config: RecipeConfig) -> None:
        if len(recordings) < 2:
            raise ValueError("a recipe needs at least two recordings")
        self.recordings, self.config = recordings, config
        self.rng = np.random.default_rng(config.seed)
        singers = sorted({(r.group, r.singer) for r in recordings})
        numbers = {singer: number for number, singer in enumerate(singers)}
        self.singers = np.array([numbers[r.group, r.singer] for r in recordings])
        per_group = Counter(group for group, _ in singers)
        per_singer = Counter((r.group, r.singer) for r in recordings)
        weights = [
            config.shares.get(r.group, per_group[r.group] / len(singers))
            / per_group[r.group]
            / per_singer[r.group, r.singer]
            for r in recordings
        ]
        self.weights = np.array(weights) / sum(weights)

    def batch(self) -> Crops:
        """The next batch; a singer at another speed counts as another one."""
        config = self.config
        chosen = self.rng.choice(len(self.recordings), config.crops, replace=len(self.recordings) < config.crops,
                                 p=self.weights)  # fmt: skip
        speeds = self.rng.integers(len(config.speeds), size=config.crops)
        pairs = [self._pair(self.recordings[i], config.speeds[s]) for i, s in zip(chosen, speeds, strict=True)]
        student, teacher = (torch.stack(waves) for waves in zip(*pairs, strict=True))
        return Crops(student, teacher, torch.from_numpy(self.singers[chosen] * len(config.speeds) + speeds))

    def _pair(self, recording: Recording, speed: float) -> tuple[Tensor, Tensor]:
        """One place of a recording, as the student hears it and as the teacher does. -> two of (samples,)"""
        size = round(self.config.crop_s * RATE_HZ)
        piece = crop(recording.samples, round(size * speed) + 200, self.rng)
        heard = self._with_residue(torch.from_numpy(self._heard(piece))[None])
        waves = torch.cat([heard, torch.from_numpy(piece[CLEAN])[None]])
        if speed != 1.0:
            waves = play_at(waves, torch.full((2,), speed))
        waves = waves[:, :size]
        loud = torch.from_numpy(self.rng.uniform(0.3, 1.0, (2, 1))).float()
        student, teacher = F.pad(waves * loud / (waves.abs().amax(1, keepdim=True) + 1e-4), (0, size - waves.shape[1]))
        return student, teacher

    def _heard(self, piece: Floats) -> Floats:
        """Clean, separated, or separated with some of the mix. piece: (3, n) -> (n,)"""
        kind = self.rng.random()
        if kind < self.config.clean:
            return piece[CLEAN].copy()
        if kind < self.config.clean + self.config.leaking:
            leak = np.float32(self.rng.uniform(*self.config.leak))
            return (1 - leak) * piece[SEPARATED] + leak * piece[MIX]
        return piece[SEPARATED].copy()

    def _with_residue(self, wave: Tensor) -> Tensor:
        """Add, at times, what the separation of another recording left of its accompaniment. wave: (1, n)"""
        chance = self.config.residue
        if self.rng.random() >= chance.probability:
            return wave
        other = self.recordings[self.rng.choice(len(self.recordings), p=self.weights)]
        left = crop(other.samples, wave.shape[1], self.rng, tries=1)
        residue = torch.from_numpy(left[SEPARATED] - left[CLEAN])[None]
        ratio_db = torch.tensor([self.rng.uniform(chance.low, chance.high)])
        return add_at(wave, residue, torch.tensor([wave.shape[1]]), ratio_db)
