"""Singers of the recipe's data, and the crops of them that a step hears."""

from __future__ import annotations

from collections import defaultdict
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
Floats = NDArray[np.float32]
Shorts = NDArray[np.int16]


class RecipeConfig(Frozen):
    """Everything that shapes the result."""

    layers: int = 2
    mlp_ratio: float = 1.0
    loudness: float = 0.35  # power of its level in a frame's weight (`Encoder.prior`); the teacher weighs all alike
    singers: int = Field(default=32, ge=2)  # in a batch, two crops each
    crop_s: float = 2.5
    teacher_crop_s: float = 3.0  # of the clean crops that prototypes are made of
    teacher_crops: int = 4  # of each singer at most
    speeds: tuple[float, ...] = (1.0, 0.9, 1.12)
    steps: int = 550
    relative_rate: float = 4e-4  # learning rate of what comes from CAM++, as a share of each tensor's own scale
    relative_rate_new: float = 1.5e-3  # of transformer and attention
    fixed: tuple[str, ...] = ("stem.conv_in", "stem.residuals", "stem.conv_out", "head")  # layers that stay as they are
    warmup: int = 40
    ema: float = 0.99
    temperature: float = 0.1
    frames: float = 1.0
    cosine: float = 5.0
    moments: float = 0.5
    contrastive: float = 0.5
    prototypes: float = 0.5
    clean: float = 0.3  # share of second crops that are clean
    residue: Chance = Chance(probability=0.5, low=3, high=20)  # dB of voice over what another song's separation left
    same_singer: float = 0.75  # prototypes nearer than this are not each other's negatives
    same_singer_unlabelled: float = 0.5  # the same within `unlabelled` sets, which may repeat singers
    unlabelled: tuple[str, ...] = ("humming", "previews")
    shares: dict[str, float] = Field(default_factory=dict)  # of a batch, by set; others: by their number of singers
    seed: int = 0


@dataclass(frozen=True)
class Singer:
    """A voice of the data; songs: name -> its mixes, each (2, samples) of clean and separated, 16 bit."""

    group: str
    name: str
    songs: dict[str, list[Shorts]]


@dataclass(frozen=True)
class Crops:
    """What a step hears: two crops of each identity, all first before all second.

    heard, clean: (2n, samples), the same moments as the student and as the teacher hears them; identities: (n,) int64
    """

    heard: Tensor
    clean: Tensor
    identities: Tensor


def read_singers(folder: Path) -> list[Singer]:
    """All of `<set>/<singer>/<song>[~n].flac`. Raises ValueError for another rate or number of channels."""
    found: dict[tuple[str, str], dict[str, list[Shorts]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(folder.glob("*/*/*.flac")):
        samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
        if rate != RATE_HZ or samples.shape[1] != 2:
            raise ValueError(f"{path}: {rate} Hz, {samples.shape[1]} channels; wanted {RATE_HZ} Hz and 2 channels")
        song = path.stem.split("~")[0]
        found[path.parent.parent.name, path.parent.name][song].append(np.ascontiguousarray(samples.T))
    return [Singer(group, name, dict(songs)) for (group, name), songs in found.items()]


def crop(samples: Shorts, size: int, rng: np.random.Generator, tries: int = 6) -> Floats:
    """A random stretch with voice in at least 40 % of it, if one is found soon. -> (2, size) in [-1, 1]."""
    if samples.shape[1] <= size:
        return floats(np.pad(samples, ((0, 0), (0, size - samples.shape[1])), mode="wrap"))
    for _ in range(tries):
        start = int(rng.integers(samples.shape[1] - size))
        piece = floats(samples[:, start : start + size])
        level = np.sqrt(np.square(piece[0, : size // 800 * 800].reshape(-1, 800)).mean(1))
        if (level > max(0.05 * level.max(), 3e-4)).mean() > 0.4:
            break
    return piece


def floats(samples: Shorts) -> Floats:
    return samples.astype(np.float32) / np.float32(32768)


class Views:
    """Draws crops: which singer, which song, which mix, at what speed."""

    def __init__(self, singers: list[Singer], config: RecipeConfig) -> None:
        self.singers, self.config = singers, config
        self.rng = np.random.default_rng(config.seed)
        counts: dict[str, int] = defaultdict(int)
        for singer in singers:
            counts[singer.group] += 1
        weights = [config.shares.get(s.group, counts[s.group] / len(singers)) / counts[s.group] for s in singers]
        self.weights = np.array(weights) / sum(weights)

    def voice(self, singer: int, song: str, speed: float, clean: bool) -> Tensor:
        """One crop at a speed, as heard (at times with another song's residue) and as sung. -> (2, samples)"""
        size = round(self.config.crop_s * RATE_HZ)
        mixes = self.singers[singer].songs[song]
        piece = torch.from_numpy(crop(mixes[self.rng.integers(len(mixes))], round(size * speed) + 200, self.rng))
        heard, sung = piece[[0 if clean else 1]], piece[[0]]
        if self.rng.random() < self.config.residue.probability:
            other = self.rng.choice(len(self.singers), p=self.weights)
            songs = list(self.singers[other].songs.values())
            left = crop(songs[self.rng.integers(len(songs))][0], heard.shape[1], self.rng, tries=1)
            ratio_db = self.rng.uniform(self.config.residue.low, self.config.residue.high)
            residue = torch.from_numpy(left[1] - left[0])[None]
            heard = add_at(heard, residue, torch.tensor([heard.shape[1]]), torch.tensor([ratio_db]))
        both = torch.cat([heard, sung])
        if speed != 1.0:
            both = play_at(both, torch.full((2,), speed))
        both = both[:, :size]
        both = 0.7 * both / (both.abs().amax(1, keepdim=True) + 1e-4)
        return F.pad(both, (0, size - both.shape[1])).float()

    def batch(self) -> Crops:
        """The next: separated crops first, of another song, where there is one, and separated or clean second."""
        speeds, n = self.config.speeds, self.config.singers
        identities = self.rng.choice(
            len(self.singers) * len(speeds), n, replace=False, p=np.repeat(self.weights, len(speeds)) / len(speeds)
        )
        first, second = [], []
        for identity in identities:
            singer, speed = identity // len(speeds), speeds[identity % len(speeds)]
            songs = list(self.singers[singer].songs)
            one, other = self.rng.choice(len(songs), 2, replace=len(songs) < 2)
            first.append(self.voice(singer, songs[one], speed, clean=False))
            second.append(self.voice(singer, songs[other], speed, clean=self.rng.random() < self.config.clean))
        heard, sung = torch.stack(first + second).unbind(1)
        return Crops(heard, sung, torch.from_numpy(identities))

    def clean_crops(self, identity: int) -> Tensor:
        """What the teacher hears of an identity: clean crops, spread over the songs. -> (crops, samples)"""
        speeds, size = self.config.speeds, round(self.config.teacher_crop_s * RATE_HZ)
        singer, speed = self.singers[identity // len(speeds)], speeds[identity % len(speeds)]
        mixes = [mix for song in singer.songs.values() for mix in song[:1]]
        seconds = sum(mix.shape[1] for mix in mixes) / RATE_HZ
        count = int(min(self.config.teacher_crops, max(1, seconds // 8)))
        crops = []
        for i in range(count):
            piece = crop(mixes[i % len(mixes)], round(size * speed) + 200, self.rng)[:1]
            wave = torch.from_numpy(piece.copy())
            wave = play_at(wave, torch.tensor([speed])) if speed != 1.0 else wave
            crops.append(F.pad(wave[0, :size], (0, max(0, size - wave.shape[1]))))
        return torch.stack(crops)
