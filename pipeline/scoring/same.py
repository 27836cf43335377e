"""Find recordings that exist as several files: other formats and bit rates, a remaster, a single and its album version.

Such tracks are recognised from stored data. Clips begin and end where the singer pauses, so two files of one recording
have clips at the same places, apart from a constant shift, and their vectors nearly agree there. Different songs by one
singer may be as similar as whole tracks, but not clip by clip at the same places.

Only near neighbours are compared. The most similar clips of a pair give the shift; clips are matched if, after it, they
share most of their length. docs/answers.md says how often this is right, and on which files.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.scoring.scores import unit
from pipeline.scoring.voices import Clips, Voices, read_clips
from pipeline.store.workspace import Workspace

NEAR = 0.8  # cosine of whole tracks from which their clips are compared
SHARED = 0.25  # share of the shorter track's clips that must be at the same places in the other
ALIKE, FEW = 0.81, 0.16  # mean cosine that many such clips need, and how much more a single one needs
APART_S = 0.5  # tolerance for the start and end of clips at the same place
SHIFTS = 5  # most similar pairs of clips whose shifts are tried
AT_ONCE = 20_000  # tracks whose clips are held in memory
BLOCK = 65_536  # pairs at a time


@dataclass(frozen=True)
class Once:
    """A catalogue in which each recording counts once.

    Attributes:
        rows: (m,) of the tracks that count.
        of: (n,) for each track of the catalogue, the index into `rows` of the track that counts for it.
    """

    rows: np.ndarray
    of: np.ndarray

    def expanded(self, frame: pd.DataFrame, track_ids: np.ndarray) -> pd.DataFrame:
        """Return a frame of m rows with n rows instead: each track gets the row of the track that counts for it."""
        return frame.iloc[self.of].assign(track_id=track_ids).reset_index(drop=True)

    def near(self, near: np.ndarray) -> np.ndarray:
        """Return the neighbours (m, k) of the tracks that count, among these tracks; -1 for none or for itself.

        Args:
            near: (n, k) the neighbours of all tracks, -1 if there are fewer.
        """
        others = near[self.rows]
        found = np.sort(np.where(others >= 0, self.of[others], -1), axis=1)
        found[:, 1:][found[:, 1:] == found[:, :-1]] = -1
        return np.where(found == np.arange(len(found))[:, None], -1, found)


def find(workspace: Workspace, voices: Voices, near: np.ndarray) -> np.ndarray:
    """Return for each track (n,) the row of the track that counts for its recording, which may be itself.

    Args:
        workspace: with the tracks' clips.
        voices: of the n tracks.
        near: (n, k) the nearest others of each, -1 if there are fewer.
    """
    pairs = likely(voices, near)
    alike = [np.zeros((0, 2), int)]
    for some in _batches(pairs):
        clips = read_clips(workspace, voices, set(voices.track_ids[np.unique(some)]))
        alike.append(some[same(clips, some)])
    left, right = np.concatenate(alike).T
    n = len(voices)
    recording = connected_components(coo_array((np.ones(len(left)), (left, right)), shape=(n, n)))[1]
    order = np.lexsort((voices.track_ids, -voices.seconds))  # the longest counts
    first = np.unique(recording[order], return_index=True)[1]
    return order[first][recording]


def same_recording(track_ids: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return for each track (n,) the id of the track that counts for its recording, None if that is itself."""
    found = track_ids[counts].astype(object)
    found[counts == np.arange(len(counts))] = None
    return found


def likely(voices: Voices, near: np.ndarray) -> np.ndarray:
    """Return the pairs of neighbours (e, 2) that may be the same recording, the lower row first."""
    rows, at = np.nonzero(near >= 0)
    others = near[rows, at]
    directions, alike = unit(voices.means).astype(np.float32), np.empty(len(rows), np.float32)
    for start in range(0, len(rows), BLOCK):
        part = slice(start, start + BLOCK)
        alike[part] = np.einsum("ed,ed->e", directions[rows[part]], directions[others[part]])
    there = alike >= NEAR
    return np.unique(np.sort(np.stack([rows[there], others[there]], axis=1), axis=1), axis=0)


def same(clips: Clips, pairs: np.ndarray) -> np.ndarray:
    """Return which pairs (e,) of tracks are the same recording, according to their clips."""
    order = np.lexsort((clips.start_s, clips.track))
    track = clips.track[order]
    found = np.zeros(len(pairs), bool)
    for at, pair in enumerate(pairs):
        one, other = (order[slice(*np.searchsorted(track, [row, row + 1]))] for row in pair)
        n, share, cosine = matched(clips, one, other)
        found[at] = share >= SHARED and cosine >= ALIKE + FEW / max(n, 1)
    return found


def matched(clips: Clips, one: np.ndarray, other: np.ndarray) -> tuple[int, float, float]:
    """Return how many clips of two tracks begin and end at the same places after the best shift.

    Args:
        clips: of all tracks.
        one, other: (c,) and (k,) rows of each track's clips.

    Returns:
        Their number, their share of the shorter track's clips, and their mean cosine.
    """
    best = (0, 0.0, 0.0)
    if not len(one) or not len(other):
        return best
    start, begin = clips.start_s[one][:, None], clips.start_s[other]
    end, last = start + clips.seconds[one][:, None], begin + clips.seconds[other]
    cosine = clips.vectors[one] @ clips.vectors[other].T
    shorter = min(clips.seconds[one].sum(), clips.seconds[other].sum())
    likely = np.argsort(-cosine, axis=None)[:SHIFTS]
    for shift in np.unique(np.concatenate([(start - begin).ravel()[likely], (end - last).ravel()[likely]])):
        there = (np.abs(start - begin - shift) <= APART_S) & (np.abs(end - last - shift) <= APART_S)
        if there.any():
            seconds = np.where(there, np.minimum(end - start, last - begin), 0.0)
            alike = float((seconds * cosine).sum() / seconds.sum())
            best = max(best, (int(there.sum()), float(seconds.sum() / shorter), alike), key=lambda m: m[1] * m[2])
    return best


def once(counts: ArrayLike, seconds: np.ndarray, credits: Sequence[str], known: Sequence[str | None]) -> Once:
    """Return the catalogue in which each recording counts once for everybody to whom it is credited.

    Files of one recording stay separate if they are credited to different people, so that a wrong credit can be found,
    or if they have different known names. Otherwise a known name of one file holds for all of them.

    Args:
        counts: (n,) equal for tracks of one recording.
        seconds: (n,) of clips.
        credits: (n,) equal for tracks that credit the same people.
        known: (n,) the known vocalist, or None.
    """
    frame = pd.DataFrame({"counts": counts, "credits": credits, "known": pd.Series(known, dtype=object)})
    several = frame["counts"].duplicated(keep=False).to_numpy()
    unit_of = np.arange(len(frame))
    unit_of[several] = len(frame) + _units(frame[several])
    order = np.lexsort((np.arange(len(frame)), -seconds, frame["known"].isna()))
    first, unit_of = np.unique(unit_of[order], return_index=True, return_inverse=True)[1:]
    rows, of = order[first], np.empty(len(frame), int)
    of[order] = np.argsort(np.argsort(rows))[unit_of]
    return Once(np.sort(rows), of)


def _units(frame: pd.DataFrame) -> np.ndarray:
    """Return which of the files (k,) are one recording with the same `credits` and known name: equal numbers."""
    of_recording = frame.groupby(["counts", "credits"])["known"]
    name = frame["known"].where(of_recording.transform("nunique") != 1, of_recording.transform("first"))
    return frame.assign(name=name).groupby(["counts", "credits", "name"], dropna=False, sort=False).ngroup().to_numpy()


def _batches(pairs: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the pairs in batches whose tracks' clips fit in memory."""
    for start in range(0, len(pairs), AT_ONCE // 2):
        yield pairs[start : start + AT_ONCE // 2]
