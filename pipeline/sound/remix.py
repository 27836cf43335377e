"""A track's vocals with a share of its mix, or remixed with another track's accompaniment.

A separator removes part of the voice together with the music: where the accompaniment is louder, its mask is close to
zero and the voice is lost. A share of the mix under the vocals restores the voice faintly, which is enough for the
logarithm in a log-mel; the accompaniment also returns faintly, but does less harm than the gaps did.
In speech enhancement this is "observation adding" (Iwamoto et al.,
"How bad are artifacts?", Interspeech 2022). On Spleeter's vocals of karaoke it takes CAM++ from 21.0 % to 12.6 %
equal-error rate over 4 s crops (eight singers, a share of 0.2).
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.sound import audio
from pipeline.sound.excerpt import WHOLE, Excerpt
from pipeline.sound.levels import db_to_gain

REMIX_DB = (-5.0, 6.0)  # level of the voice relative to another track's accompaniment


def beside(vocals_uri: str, mix_uri: str | None, sample_rate_hz: int, excerpt: Excerpt = WHOLE) -> Iterator[np.ndarray]:
    """Yield a track's vocals and mix block by block: (2, n) float32, as long as the vocals; zeros if there is no mix.

    Raises:
        Problem, FileNotFoundError: from `audio.blocks` for either file.
    """
    mix_blocks = audio.blocks(mix_uri, sample_rate_hz, 1, excerpt=excerpt) if mix_uri else iter(())
    for vocals in audio.blocks(vocals_uri, sample_rate_hz, 1, excerpt=excerpt):
        mix = next(mix_blocks, np.zeros((1, 0), np.float32))[:, : vocals.shape[1]]
        yield np.concatenate([vocals, np.pad(mix, ((0, 0), (0, vocals.shape[1] - mix.shape[1])))])


class Accompaniment:
    """The accompaniment of a track's excerpts, which is the mix without the vocals, in an endless loop."""

    def __init__(self, vocals_uri: str, mix_uri: str, sample_rate_hz: int, excerpts: Sequence[Excerpt] = (WHOLE,)):
        self.blocks = itertools.chain.from_iterable(
            beside(vocals_uri, mix_uri, sample_rate_hz, excerpt) for excerpt in itertools.cycle(excerpts)
        )
        self.held = np.zeros((1, 0), np.float32)

    def take(self, n: int) -> np.ndarray:
        """Return the next (1, n) samples."""
        while self.held.shape[1] < n:
            vocals, mix = next(self.blocks)
            self.held = np.concatenate([self.held, (mix - vocals)[None]], axis=1)
        taken, self.held = self.held[:, :n], self.held[:, n:]
        return taken


def with_accompaniment(vocals: np.ndarray, accompaniment: np.ndarray, ratio_db: float) -> np.ndarray:
    """Return vocals (1, n) with an accompaniment `ratio_db` below them, scaled down if it would clip."""
    levels = [float(np.sqrt(np.square(part, dtype=np.float64).mean())) for part in (vocals, accompaniment)]
    gain = levels[0] / levels[1] * db_to_gain(-ratio_db) if min(levels) > 0 else 0.0
    mix = vocals + np.float32(gain) * accompaniment
    return mix / max(1.0, float(np.abs(mix).max()))
