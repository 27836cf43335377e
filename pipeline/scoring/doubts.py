"""Doubts about known names: tracks that do not fit the others of their name, and tracks in which two people sing.

`fit` compares each known track with the other tracks of its name. The track that fits worst is excluded before the
others are compared again, so that one wrong track among three does not make the other two look wrong. `alone` reduces a
duet to the part of the person it is known for, if that can be told.

docs/answers.md says how often this finds wrong tracks and how often it doubts right ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from pipeline.scoring.backend import Backend
from pipeline.scoring.evidence import Evidence
from pipeline.scoring.voices import Clips, Voices

RIGHT = 0.9  # prior probability that a known name is right
LIKELY = 0.5  # a track, or a part of one, that fits its name with less than this probability is in doubt
NOTHING = 1e-9  # precision up to which there is no evidence
TWO = -3.3  # ratio of a track's two parts below which two people sing in it, if it credits several


def fit(tracks: Evidence, name: np.ndarray, backend: Backend) -> np.ndarray:
    """Return how likely each known track has the voice of the other tracks of its name (n,); NaN if there are none.

    Below `LIKELY` the track is in doubt. If a name has only two tracks and they do not fit each other, both are, since
    nothing tells which one is wrong.

    Args:
        tracks: the evidence of n known tracks.
        name: (n,) 0, 1, ..., the name each is known for.
        backend: to score with.
    """
    n_names = int(name.max(initial=-1)) + 1
    trusted = np.ones(len(name), bool)
    while True:
        rest = tracks.summed(np.where(trusted, name, -1), n_names)[name] - tracks.scaled(trusted)
        probability = np.where(rest.precision > NOTHING, expit(backend.pairs(tracks, rest) + logit(RIGHT)), np.nan)
        left = np.bincount(name[trusted], minlength=n_names)[name]
        wrong = np.flatnonzero(trusted & (left > 2) & (probability < LIKELY))
        if not len(wrong):
            return probability
        wrong = wrong[np.argsort(probability[wrong])]
        trusted[wrong[np.unique(name[wrong], return_index=True)[1]]] = False


@dataclass(frozen=True)
class Alone:
    """What is known of tracks without other people's parts in the known ones.

    Attributes:
        evidence: (n,) of the tracks.
        trimmed: (n,) bool, which of them lost a part.
        unclear: (n,) bool, which of them cannot be used, since nothing tells whose their two voices are.
    """

    evidence: Evidence
    trimmed: np.ndarray
    unclear: np.ndarray


def alone(voices: Voices, clips: Clips, name: np.ndarray, several_credited: np.ndarray, backend: Backend) -> Alone:
    """Return the evidence of voices without other people's parts in the known tracks.

    Args:
        voices: (n,).
        clips: of the known tracks.
        name: (n,) 0, 1, ..., the name each track is known for, -1 for none.
        several_credited: (n,) whether a track's artist and title credit more than one person.
        backend: to score with.
    """
    evidence = backend.evidence(voices.means, voices.seconds)
    cut = list(_cut(voices, clips, evidence, name, several_credited, backend))
    rows = np.array([track for track, _, _ in cut], int)
    seconds = np.array([left_s for _, _, left_s in cut])
    trimmed, unclear = np.zeros((2, len(voices)), bool)
    trimmed[rows], unclear[rows] = seconds > 0, seconds == 0
    if cut:
        evidence = evidence.replaced(rows, backend.evidence(np.stack([mean for _, mean, _ in cut]), seconds))
    return Alone(evidence, trimmed, unclear)


def _cut(
    voices: Voices, clips: Clips, evidence: Evidence, name: np.ndarray, several_credited: np.ndarray, backend: Backend
) -> Iterator[tuple[int, np.ndarray, float]]:
    """Yield each known track that is not its name's as a whole, with the mean (d,) and the seconds of what is."""
    whole = evidence.summed(name, int(name.max(initial=-1)) + 1)
    order = np.argsort(clips.track, kind="stable")
    for track, n in zip(*np.unique(clips.track, return_counts=True), strict=True):
        mine, order = order[:n], order[n:]
        if n == 1:  # one clip has no parts
            continue
        vectors = clips.vectors[mine]
        lengths = clips.seconds[mine] * (voices.seconds[track] / clips.seconds[mine].sum())  # as much as they are sung
        rest = whole[name[[track]]] - evidence[[track]]
        own = own_clips(backend.evidence(vectors, lengths), rest, bool(several_credited[track]), backend)
        if not own.all():
            left_s = lengths[own].sum()
            yield int(track), (vectors * (lengths * own)[:, None]).sum(0) / max(left_s, NOTHING), float(left_s)


def own_clips(clips: Evidence, rest: Evidence, several_credited: bool, backend: Backend) -> np.ndarray:
    """Return which clips of a known track can be taken as its name's (c,) bool: none, if that cannot be told.

    Args:
        clips: the evidence of the track's clips.
        rest: one row, the evidence of the name's other known tracks, with precision 0 if there are none.
        several_credited: whether the track's artist and title credit more than one person.
        backend: to score with.
    """
    part, ratio = parts(clips, backend)
    if rest.precision.sum() > NOTHING:
        both = clips.summed(part.astype(int), 2).as_one()
        fits = expit(backend.pairs(both, rest[np.zeros(2, int)]) + logit(RIGHT)) > LIKELY
        return fits[part.astype(int)] if fits.any() else np.ones(len(clips), bool)  # a misfit as a whole: see `fit`
    return np.full(len(clips), not (several_credited and ratio < TWO))


def parts(clips: Evidence, backend: Backend) -> tuple[np.ndarray, float]:
    """Divide a track's clips into two parts by joining the two most likely groups until two are left.

    Returns:
        Whether each clip is in the second part (c,) bool, and the log-likelihood ratio of the parts (inf for fewer than
        two clips).
    """
    label, groups = np.arange(len(clips)), clips
    while len(groups) > 2:
        ratio = backend.table(groups, groups)
        np.fill_diagonal(ratio, -np.inf)
        left, right = sorted(np.unravel_index(ratio.argmax(), ratio.shape))
        label = np.where(label == right, left, label - (label > right))
        groups = clips.summed(label, len(groups) - 1).as_one()
    return label > 0, float(backend.pairs(groups[[0]], groups[[1]])[0]) if len(groups) == 2 else float("inf")
