"""Views: the pairs of crops that training makes similar.

- `clip`: two crops of one clip.
- `track`: crops of two clips of one track, if two are stored near each other.
- `pair`: one crop of `audio`, the other of the same clip's `pair_audio`: the same voice remixed with another
  accompaniment and separated again, so that neither residue nor artefacts of separation can stand for the singer.
- `singer`: crops of two tracks by one singer: under one name (artist, album), or in one group of tracks (`group`).

Crops that are known to be by the same singer have the same number in `Batch.identities` and are never each other's
negatives. By default, only the crops of one track are. A clip played at another speed sounds like another singer, and
counts as one (`views.speeds`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from encoder.frontend import resample
from encoder.training.augment.codec import FORMATS, round_trip
from encoder.training.augment.warp import play_at
from encoder.training.config import NO_AUGMENT, Chance, ViewsConfig
from encoder.training.data import ClipOrder, ClipShards, Floats


@dataclass(frozen=True)
class Batch:
    """Two views of each of n clips at the encoder's sample rate, and the singers.

    Attributes:
        waves: (2n, samples) float32, zero-padded; first views, then second ones. Or frames (2n, frames, channels).
        lengths: (2n,) samples or frames.
        identities: (n,) int64, equal if the singer is known to be the same.
        clip_ids: n of them.
    """

    waves: Tensor
    lengths: Tensor
    identities: Tensor
    clip_ids: list[str]


class ViewDataset(Dataset[Batch]):
    """Batches of views for one rank; item n, the n-th batch of the endless order, depends on n and the seed alone."""

    def __init__(
        self,
        shards: ClipShards,
        config: ViewsConfig,
        sample_rate_hz: int,
        batch: int,
        seed: int,
        names: Mapping[str, str] | None = None,
        rank: int = 0,
        world_size: int = 1,
        codec: Chance = NO_AUGMENT.codec,
    ) -> None:
        """Prepare the views.

        Args:
            shards: the clips.
            config: which views.
            sample_rate_hz: of the views.
            batch: clips per batch, over all ranks.
            seed: of the random numbers.
            names: singer by track_id; a track without one is a singer of its own.
            rank: of this process.
            world_size: number of processes.
            codec: see `encoder.training.augment.codec`.

        Raises:
            ValueError: the clips or names do not have what the config needs.
        """
        if (config.positives == "pair" or config.pair_share) and not shards.has_pairs:
            wanted = "views.positives is `pair`" if config.positives == "pair" else "views.pair_share is set"
            raise ValueError(f"{wanted}, but the clips have no pair_audio: shard with shard.pairs=true")
        if config.positives == "singer" and not names:
            raise ValueError("views.positives is `singer`, but no artist or album names were given")
        self.shards, self.config, self.rate, self.seed, self.codec = shards, config, sample_rate_hz, seed, codec
        self.size = batch
        self.order = ClipOrder(shards.rows, seed, rank, world_size)
        who = [(names or {}).get(row.track_id, row.track_id) for row in shards.rows]
        numbers = {name: number for number, name in enumerate(sorted(set(who)))}
        self.singers = [numbers[name] for name in who]
        self.partners = partners(shards, self.singers, config.positives)

    def __getitem__(self, number: int) -> Batch:
        firsts, seconds, identities, clip_ids = [], [], [], []
        for clip, place in self.order.batch(number * self.size, self.size):
            rng = np.random.default_rng([self.seed, place])
            speed = int(rng.integers(len(self.config.speeds))) if len(self.config.speeds) > 1 else 0
            first, second = self._two_views(clip, speed, rng)
            firsts.append(first)
            seconds.append(second)
            identities.append(self.singers[clip] * len(self.config.speeds) + speed)
            clip_ids.append(self.shards.rows[clip].clip_id)
        waves, lengths = pad(firsts + seconds)
        return Batch(waves, lengths, torch.tensor(identities), clip_ids)

    def loader(self, first: int, last: int, workers: int) -> DataLoader[Batch]:
        """Return a loader of the batches from `first` up to, but not including, `last`.

        Args:
            first: number of the first batch.
            last: number of the batch after the last one.
            workers: processes that load ahead; 0: this one loads when it is asked to.
        """
        # spawn: a forked process would inherit the threads and connections of Arrow's filesystems, and CUDA.
        context = "spawn" if workers else None
        return DataLoader(
            self, batch_size=None, sampler=range(first, last), num_workers=workers, multiprocessing_context=context
        )

    def _two_views(self, clip: int, speed: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Make the two crops of a pair, in random order."""
        starts = rng.random(2)
        if not self.config.overlap:
            # One near each end of the clip: at least a crop apart, or as far apart as a shorter clip allows.
            slack_s = max(self.shards.rows[clip].duration_s - self.config.crop_s, 1e-6)
            room = max(0.0, 1 - self.config.crop_s / slack_s) / 2
            starts = np.array([room * starts[0], 1 - room * starts[1]])
        candidates = self.partners[clip]
        other = int(rng.choice(candidates)) if candidates else clip
        share = 1.0 if self.config.positives == "pair" else self.config.pair_share
        column = "pair_audio" if share and rng.random() < share else "audio"
        views = [
            self._crop(clip, float(starts[0]), "audio", speed, rng),
            self._crop(other, float(starts[1]), column, speed, rng),
        ]
        if rng.random() < 0.5:
            views.reverse()
        return views[0], views[1]

    def _crop(self, clip: int, start: float, column: str, speed: int, rng: np.random.Generator) -> Tensor:
        """Make one view (samples,), sometimes encoded and decoded by a codec."""
        factor = self.config.speeds[speed]
        wave, rate = self.shards.crop(clip, start, self.config.crop_s * factor, column)
        chosen, quality, codec = rng.random(), rng.uniform(self.codec.low, self.codec.high), rng.choice(list(FORMATS))
        if chosen < self.codec.probability:
            wave = round_trip(wave, rate, str(codec), float(quality))
        return at_speed(wave, rate, self.rate, factor)


def at_speed(wave: Floats, from_hz: int, to_hz: int, speed: float) -> Tensor:
    """Resample `wave` (samples,) and play it `speed` times as fast; returns (fewer or more samples,).

    Stored frames (frames, channels) are returned unchanged.
    """
    if wave.ndim == 2:
        return torch.from_numpy(wave)
    resampled, _ = resample(torch.from_numpy(wave)[None], torch.tensor([len(wave)]), from_hz, to_hz)
    if speed == 1.0:
        return resampled[0]
    return play_at(resampled, torch.tensor([speed]))[0, : int(resampled.shape[1] / speed)]


def partners(shards: ClipShards, singers: Sequence[int], positives: str) -> list[list[int]]:
    """Find the clips that each clip's second view may come from; an empty list stands for the clip itself.

    With `track`, only clips of the same row group: they are in memory together.
    """
    if positives in ("clip", "pair"):
        return [[] for _ in singers]
    together: dict[object, list[int]] = defaultdict(list)
    keys: list[object] = [
        (row.track_id, row.shard, row.group) if positives == "track" else singer
        for row, singer in zip(shards.rows, singers, strict=True)
    ]
    for number, key in enumerate(keys):
        together[key].append(number)
    if positives == "track":
        return [[other for other in together[key] if other != number] for number, key in enumerate(keys)]
    rows = shards.rows
    return [
        [other for other in together[key] if rows[other].track_id != rows[number].track_id]
        for number, key in enumerate(keys)
    ]


def pad(waves: Sequence[Tensor] | Sequence[Floats]) -> tuple[Tensor, Tensor]:
    """Stack waves of unequal length.

    Returns:
        (n, samples, …), zero after each wave, and their lengths (n,) in samples.
    """
    tensors = [torch.as_tensor(wave) for wave in waves]
    lengths = torch.tensor([len(wave) for wave in tensors])
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True), lengths
