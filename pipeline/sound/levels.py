"""Levels: conversion to and from dB, the power of a signal's frames, and which frames are voiced by level alone."""

from typing import TypeVar

import numpy as np

LOUD_PERCENTILE = 95
Decibels = TypeVar("Decibels", float, np.ndarray)


def db_to_gain(db: Decibels) -> Decibels:
    """Return the factor that amplifies a waveform by some dB."""
    return 10 ** (db / 20)


def power_to_db(power: np.ndarray | float) -> np.ndarray:
    """Return power in dB, at least -200."""
    return 10 * np.log10(np.maximum(power, 1e-20))


def near_the_loud(levels_db: np.ndarray, range_db: float, floor_db: float) -> np.ndarray:
    """Return which frames of an isolated voice are voiced.

    These are within `range_db` of the loud ones, the 95th percentile of all levels, and above `floor_db`. If there is a
    mix to compare with, `pipeline.sound.activity` is more accurate, since a separator's residue of the music may be
    loud.

    Args:
        levels_db: (frames,) dB full scale.
        range_db: below the loud frames.
        floor_db: dB full scale.

    Returns:
        (frames,) bool.
    """
    if not len(levels_db):
        return np.zeros(0, bool)
    return levels_db > max(np.percentile(levels_db, LOUD_PERCENTILE) - range_db, floor_db)


class Frames:
    """The power of each frame of a mono signal that is given in blocks, without its mean, since a constant is silent.

    Args:
        frame: length of a frame in samples.
    """

    def __init__(self, frame: int):
        self.frame = frame
        self.rest = np.zeros(0, np.float32)
        self.done: list[np.ndarray] = []
        self.n = 0

    def add(self, block: np.ndarray) -> None:
        """Add the next (n,) samples."""
        self.n += len(block)
        joined = np.concatenate([self.rest, block])
        whole = len(joined) // self.frame * self.frame
        self.done.append(joined[:whole].reshape(-1, self.frame).var(axis=1, dtype=np.float64))
        self.rest = joined[whole:]

    def powers(self) -> np.ndarray:
        """Return (frames,) float64; an incomplete last frame counts as one."""
        last = [[self.rest.var(dtype=np.float64)]] if len(self.rest) else []
        return np.concatenate([*self.done, *last, np.zeros(0)])

    def levels_db(self) -> np.ndarray:
        """Return (frames,) RMS levels, dB full scale."""
        return power_to_db(self.powers())
