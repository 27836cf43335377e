"""Mix any channels down to left and right, so that nothing cancels out or is lost.

Surround channels are weighted as in ITU-R BS.775 (centre and surround at -3 dB, no LFE), scaled so that full scale
stays full scale; channels of unknown position go to both sides equally. Then, in windows of `WINDOW_S`: if one side is
silent, both get the other; if one side is the inverse of the other, it is inverted, since their sum would be silent.
"""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from pipeline.sound.reading import Piece
from pipeline.store.errors import Problem

WINDOW_S = 10.0
FADE_S = 0.05  # between windows that are mixed differently
SILENT = 1e-4  # power relative to the other side's, -40 dB
INVERTED = 0.05  # power of the sides' sum relative to that of their difference, -13 dB
FAINT = 1e-9  # power of the louder side below which a window is not judged, -90 dB
_AS_IT_IS, _LEFT, _RIGHT, _TURNED = (
    np.array(rows, np.float32) for rows in ([[1, 0], [0, 1]], [[1, 0], [1, 0]], [[0, 1], [0, 1]], [[1, 0], [0, -1]])
)


def mixed_down(pieces: Iterable[Piece], channels: int) -> Iterator[tuple[np.ndarray, int]]:
    """Yield a file's pieces mixed down to 1 channel (the sides' mean) or 2: (channels, n) float32, and the rate."""
    way = _AS_IT_IS
    for rate_hz, alike in itertools.groupby(pieces, key=lambda piece: piece.sample_rate_hz):
        for window in _windows(map(to_sides, alike), round(WINDOW_S * rate_hz)):
            before, way = way, _way(window, way)
            sides = window if way is _AS_IT_IS else way @ window
            if way is not before:
                n = min(round(FADE_S * rate_hz), sides.shape[1])
                rise = np.linspace(0, 1, n, dtype=np.float32)
                start = rise * sides[:, :n] + (1 - rise) * (before @ window[:, :n])
                sides = np.concatenate([start, sides[:, n:]], axis=1)
            yield sides if channels == 2 else sides.mean(axis=0, keepdims=True), rate_hz


def as_they_are(pieces: Iterable[Piece]) -> Iterator[tuple[np.ndarray, int]]:
    """Yield a file's pieces with all of their channels, and the rate.

    Raises:
        Problem: the number of channels changes within the file.
    """
    channels = None
    for piece in pieces:
        channels = channels or len(piece.samples)
        if len(piece.samples) != channels:
            raise Problem("channels", f"it has {channels} channels at first, and {len(piece.samples)} later")
        yield piece.samples, piece.sample_rate_hz


def to_sides(piece: Piece) -> np.ndarray:
    """Return a piece's left and right: (2, n)."""
    n = len(piece.samples)
    if n <= 2:
        return np.broadcast_to(piece.samples, (2, piece.samples.shape[1]))
    weights = np.array([_weights(name) for name in piece.layout], np.float32).T
    return weights / max(1e-9, weights.sum(axis=1).max()) @ piece.samples


def _weights(channel: str) -> tuple[float, float]:
    """Return the weights of a channel, by FFmpeg's name for it, in left and right."""
    share = 1.0 if channel in ("FL", "FR") else 0.5**0.5
    if channel.startswith("LFE"):
        return 0.0, 0.0
    return 0.0 if "R" in channel else share, 0.0 if "L" in channel else share


def _windows(blocks: Iterable[np.ndarray], n: int) -> Iterator[np.ndarray]:
    """Yield windows (2, n) from blocks of any length; the last window is the remainder."""
    window, filled = np.empty((2, n), np.float32), 0
    for block in blocks:
        while block.shape[1]:
            taken = block[:, : n - filled]
            window[:, filled : filled + taken.shape[1]] = taken
            filled += taken.shape[1]
            block = block[:, taken.shape[1] :]
            if filled == n:
                yield window
                window, filled = np.empty((2, n), np.float32), 0
    if filled:
        yield window[:, :filled]


def _way(window: np.ndarray, way: np.ndarray) -> np.ndarray:
    """Return the matrix that mixes a window (2, n) to (2, n); if it is too faint to judge, that of the previous one."""
    mean = window.mean(axis=1)  # a constant is silent
    (in_left, both), (_, in_right) = window @ window.T / window.shape[1] - np.outer(mean, mean)
    if max(in_left, in_right) < FAINT:
        return way
    if min(in_left, in_right) < SILENT * max(in_left, in_right):
        return _LEFT if in_left > in_right else _RIGHT
    total = in_left + in_right
    return _TURNED if total + 2 * both < INVERTED * (total - 2 * both) else _AS_IT_IS
