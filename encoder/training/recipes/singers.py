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

from encoder.config import Chance, Frozen
from encoder.training.augment.level import add_at
from encoder.training.augment.warp import play_at

RATE_HZ = 16000
Floats = NDArray[np.float32]


class RecipeConfig(Frozen):
    """Everything that shapes the result."""

    layers: int = 2
    mlp_ratio: float = 1.0
    loudness: float = 0.2  # power of its level in a frame's weight (`Encoder.prior`)
    singers: int = Field(default=24, ge=2)  # in a batch, two crops each
    crop_s: float = 2.5
    teacher_crop_s: float = 4.0
    teacher_crops: int = 8  # of each singer at most
    speeds: tuple[float, ...] = (1.0, 0.88, 1.14)
    steps: int = 880
    learning_rate: float = 5e-5  # of what comes from CAM++
    learning_rate_new: float = 1.5e-4  # of transformer and attention
    warmup: int = 20
    weight_decay: float = 0.01
    ema: float = 0.99
    blend: float = Field(default=0.5, ge=0, le=1)  # of the way from CAM++ to the trained weights
    whiten: float = Field(default=0.75, ge=0, le=1)  # 0: only centre, 1: all directions alike
    whiten_ridge: float = 0.5  # of the mean variance
    whiten_batches: int = 28
    temperature: float = 0.1
    contrastive: float = 1.0
    prototypes: float = 1.0
    cosine: float = 0.5
    clean: float = 0.4  # share of second crops that are clean
    residue: Chance = Chance(probability=0.5, low=3, high=20)  # dB of voice over what another song's separation left
    same_singer: float = 0.75  # prototypes nearer than this are not each other's negatives
    same_singer_unlabelled: float = 0.5  # the same within `unlabelled` sets, which may repeat singers
    unlabelled: tuple[str, ...] = ("humming", "previews")
    shares: dict[str, float] = Field(default_factory=dict)  # of a batch, by set; others: by their number of singers
    seed: int = 0


@dataclass(frozen=True)
class Singer:
    """A voice of the data; songs: name -> its mixes, each (2, samples) of clean and separated."""

    group: str
    name: str
    songs: dict[str, list[Floats]]


def read_singers(folder: Path) -> list[Singer]:
    """All of `<set>/<singer>/<song>[~n].flac`. Raises ValueError for another rate or number of channels."""
    found: dict[tuple[str, str], dict[str, list[Floats]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(folder.glob("*/*/*.flac")):
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        if rate != RATE_HZ or samples.shape[1] != 2:
            raise ValueError(f"{path}: {rate} Hz, {samples.shape[1]} channels; wanted {RATE_HZ} Hz and 2 channels")
        song = path.stem.split("~")[0]
        found[path.parent.parent.name, path.parent.name][song].append(np.ascontiguousarray(samples.T))
    return [Singer(group, name, dict(songs)) for (group, name), songs in found.items()]


def crop(samples: Floats, size: int, rng: np.random.Generator, tries: int = 6) -> Floats:
    """A random stretch with voice in at least 40 % of it, if one is found soon. -> (2, size)."""
    if samples.shape[1] <= size:
        return np.pad(samples, ((0, 0), (0, size - samples.shape[1])), mode="wrap")
    for _ in range(tries):
        start = int(rng.integers(samples.shape[1] - size))
        piece = samples[:, start : start + size]
        level = np.sqrt(np.square(piece[0, : size // 800 * 800].reshape(-1, 800)).mean(1))
        if (level > max(0.05 * level.max(), 3e-4)).mean() > 0.4:
            break
    return piece


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
        """One crop at a speed, with another song's residue at times. -> (samples,)"""
        size = round(self.config.crop_s * RATE_HZ)
        mixes = self.singers[singer].songs[song]
        piece = crop(mixes[self.rng.integers(len(mixes))], round(size * speed) + 200, self.rng)
        wave = torch.from_numpy(piece[0 if clean else 1])[None]
        if self.rng.random() < self.config.residue.probability:
            other = self.rng.choice(len(self.singers), p=self.weights)
            songs = list(self.singers[other].songs.values())
            left = crop(songs[self.rng.integers(len(songs))][0], wave.shape[1], self.rng, tries=1)
            ratio_db = self.rng.uniform(self.config.residue.low, self.config.residue.high)
            residue = torch.from_numpy(left[1] - left[0])[None]
            wave = add_at(wave, residue, torch.tensor([wave.shape[1]]), torch.tensor([ratio_db]))
        if speed != 1.0:
            wave = play_at(wave, torch.tensor([speed]))
        wave = wave[0, :size]
        wave = wave * (self.rng.uniform(0.3, 1.0) / (wave.abs().max() + 1e-4))
        return F.pad(wave, (0, size - len(wave))).float()

    def batch(self) -> tuple[Tensor, Tensor]:
        """-> waves (2 * singers, samples), all first views then all second; identities (singers,)."""
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
        return torch.stack(first + second), torch.from_numpy(identities)

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
