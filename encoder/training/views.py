"""Views: the pairs of crops that are taught to lie near each other.

- `clip`: two crops of one clip.
- `track`: of two clips of one track, where it has two near each other in the shards.
- `pair`: one crop as it is, the other from `pair_audio` (the same voice remixed with someone else's accompaniment
  and separated again), so that residue and separation artefacts cannot carry identity. Needs that column.
- `singer`: of two tracks under one name (artist or album). Uses names, so it is not fully self-supervised.

Whatever the choice, recordings known to share a singer get the same number in `Batch.singers`, and are never each
other's negatives; by default that is known of clips of one track.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from encoder.config import NO_AUGMENT, Chance, ViewsConfig
from encoder.frontend import resample
from encoder.training.augment.codec import FORMATS, round_trip
from encoder.training.data import ClipOrder, ClipShards, Floats


@dataclass(frozen=True)
class Batch:
    """Two views of each clip at the encoder's rate, zero-padded, and whom they are of.

    waves: (2 * n, samples) float32, all first views then all second; lengths: (2 * n,) samples;
    singers: (n,) int64, equal where known to be the same; clip_ids: n strings.
    """

    waves: Tensor
    lengths: Tensor
    singers: Tensor
    clip_ids: list[str]


class ViewLoader:
    """Batches of views for one rank, each fixed by its position and the seed alone."""

    def __init__(
        self,
        shards: ClipShards,
        config: ViewsConfig,
        sample_rate_hz: int,
        seed: int,
        names: Mapping[str, str] | None = None,
        rank: int = 0,
        world_size: int = 1,
        codec: Chance = NO_AUGMENT.codec,
    ) -> None:
        """names: track_id -> artist or album, of the tracks where one is known; codec: see `augment.codec`."""
        if config.positives == "pair" and not shards.has_pairs:
            raise ValueError("views.positives is `pair`, but the clips have no pair_audio: shard with shard.pairs=true")
        if config.positives == "singer" and not names:
            raise ValueError("views.positives is `singer`, but no artist or album names were given")
        self.shards, self.config, self.rate, self.seed, self.codec = shards, config, sample_rate_hz, seed, codec
        self.order = ClipOrder(shards.rows, seed, rank, world_size)
        who = [(names or {}).get(row.track_id, row.track_id) for row in shards.rows]
        numbers = {name: number for number, name in enumerate(sorted(set(who)))}
        self.singers = [numbers[name] for name in who]
        self.partners = partners(shards, self.singers, config.positives)

    def batch(self, position: int, size: int) -> Batch:
        """This rank's part of the batch of `size` clips at `position` in the endless order."""
        firsts, seconds, numbers = [], [], []
        for number, place in self.order.batch(position, size):
            rng = np.random.default_rng([self.seed, place])
            first, second = self._two_views(number, rng)
            firsts.append(first)
            seconds.append(second)
            numbers.append(number)
        waves, lengths = pad(firsts + seconds)
        singers = torch.tensor([self.singers[number] for number in numbers])
        return Batch(waves, lengths, singers, [self.shards.rows[number].clip_id for number in numbers])

    def _two_views(self, number: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Two crops that are taught to be near each other, in random order."""
        starts = rng.random(2)
        if not self.config.overlap:
            # One near each end of the clip: a crop apart, or as far as a clip shorter than two crops allows.
            slack_s = max(self.shards.rows[number].duration_s - self.config.crop_s, 1e-6)
            room = max(0.0, 1 - self.config.crop_s / slack_s) / 2
            starts = np.array([room * starts[0], 1 - room * starts[1]])
        candidates = self.partners[number]
        other = int(rng.choice(candidates)) if candidates else number
        column = "pair_audio" if self.config.positives == "pair" else "audio"
        views = [
            self._crop(number, float(starts[0]), "audio", rng),
            self._crop(other, float(starts[1]), column, rng),
        ]
        if rng.random() < 0.5:
            views.reverse()
        return views[0], views[1]

    def _crop(self, number: int, start: float, column: str, rng: np.random.Generator) -> Tensor:
        wave, rate = self.shards.crop(number, start, self.config.crop_s, column)
        chosen, quality, codec = rng.random(), rng.uniform(self.codec.low, self.codec.high), rng.choice(list(FORMATS))
        if chosen < self.codec.probability:
            wave = round_trip(wave, rate, str(codec), float(quality))
        resampled, _ = resample(torch.from_numpy(wave)[None], torch.tensor([len(wave)]), rate, self.rate)
        return resampled[0]


def partners(shards: ClipShards, singers: Sequence[int], positives: str) -> list[list[int]]:
    """For each clip the clips that its second view may come from; none: from itself.

    Of a track only clips of the same row group count, which are in memory when the first is.
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
    """Waves of unequal length as one tensor, silent after each. -> (n, samples), lengths (n,)."""
    tensors = [torch.as_tensor(wave) for wave in waves]
    lengths = torch.tensor([len(wave) for wave in tensors])
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True), lengths
