"""Clips of tracks whose singer is known, and what they are pooled into: tracks, pieces of tracks, singers."""

from dataclasses import dataclass

import numpy as np

PIECES = {2: 3, 5: 2}  # number of clips in a piece -> number of such pieces per track


@dataclass(frozen=True)
class Clips:
    """Labelled clips: unit `vectors (c, d)`, `seconds (c,)`, `track (c,)` 0 ... n-1, `singer (n,)` of each track."""

    vectors: np.ndarray
    seconds: np.ndarray
    track: np.ndarray
    singer: np.ndarray

    def part(self, kept: np.ndarray) -> "Clips":
        """Return the clips of the tracks at `kept (n,)` bool."""
        number, rows = np.cumsum(kept) - 1, kept[self.track]
        return Clips(self.vectors[rows], self.seconds[rows], number[self.track[rows]], self.singer[kept])


@dataclass(frozen=True)
class Recordings:
    """Tracks and pieces of tracks: `means (n, d)`, `seconds (n,)`, `singer (n,)`, and the track as `song (n,)`."""

    means: np.ndarray
    seconds: np.ndarray
    singer: np.ndarray
    song: np.ndarray


def pool(clips: Clips) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the tracks' mean vectors (n, d), their seconds (n,), and the scatter (d, d) of clips around them."""
    n = len(clips.singer)
    seconds = np.bincount(clips.track, clips.seconds, minlength=n)
    sums = np.zeros((n, clips.vectors.shape[1]))
    np.add.at(sums, clips.track, clips.vectors * clips.seconds[:, None])
    means = sums / np.maximum(seconds, 1e-12)[:, None]
    apart = clips.vectors - means[clips.track]
    return means, seconds, apart.T @ apart


def singer_means(clips: Clips) -> np.ndarray:
    """Return the mean vector (m, d) of each singer's tracks."""
    means, _, _ = pool(clips)
    _, at = np.unique(clips.singer, return_inverse=True)
    sums = np.zeros((at.max() + 1, means.shape[1]))
    np.add.at(sums, at, means)
    return sums / np.bincount(at)[:, None]


def recordings(clips: Clips, rng: np.random.Generator) -> Recordings:
    """Return all tracks as a whole, and also pieces of the tracks of singers who have several."""
    means, seconds, _ = pool(clips)
    _, at, count = np.unique(clips.singer, return_inverse=True, return_counts=True)
    parts = [(means, seconds, np.arange(len(means)))]
    for track in np.flatnonzero(count[at] > 1):
        own = np.flatnonzero(clips.track == track)
        for size, kept in PIECES.items():
            starts = np.arange(0, len(own) - size, size)  # a piece is shorter than its track
            for start in rng.permutation(starts)[:kept]:
                piece = own[start : start + size]
                total = clips.seconds[piece].sum()
                mean = (clips.vectors[piece] * clips.seconds[piece, None]).sum(0) / total
                parts.append((mean[None], np.array([total]), np.array([track])))
    stacked = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Recordings(stacked[0], stacked[1], clips.singer[stacked[2]], stacked[2])
