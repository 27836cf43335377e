"""Doubts about known names: tracks that do not fit the others of their name, and tracks in which two people sing.

`fit` weighs each known track against the rest of its name, leaving it out; the worst that does not fit is taken out of
its name before the others are weighed again, so that one planted among three does not make the other two look wrong.
`alone` keeps of a duet what is one person's, as far as anything says which that is.

What this finds, and how often wrongly, is in docs/answers.md.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from pipeline.scoring.backend import Backend, Evidence
from pipeline.scoring.voices import Clips, Voices

RIGHT = 0.9  # of known names, before anything is heard
LIKELY = 0.5  # a track, or a part of one, that fits its name with less than this probability is in doubt
NOTHING = 1e-9  # precision of evidence that there is not
TWO = -3.3  # ratio of a track's two parts below which two people sing in it, where it credits several


def fit(tracks: Evidence, name: np.ndarray, backend: Backend) -> np.ndarray:
    """Return how likely each known track is by the voice that the others of its name have (n,); NaN if there are none.

    Below `LIKELY` the track is in doubt. Of two that do not fit each other nobody can say which is wrong: both are.

    Args:
        tracks: the evidence of n known tracks. name: (n,) 0, 1, ... for whom each was given.
    """
    n_names = int(name.max(initial=-1)) + 1
    trusted = np.ones(len(name), bool)
    while True:
        own = Evidence(tracks.vector * trusted[:, None], tracks.precision * trusted)
        rest = tracks.summed(np.where(trusted, name, -1), n_names)[name] - own
        probability = np.where(rest.precision > NOTHING, expit(backend.pairs(tracks, rest) + logit(RIGHT)), np.nan)
        left = np.bincount(name[trusted], minlength=n_names)[name]
        wrong = np.flatnonzero(trusted & (left > 2) & (probability < LIKELY))
        if not len(wrong):
            return probability
        wrong = wrong[np.argsort(probability[wrong])]
        trusted[wrong[np.unique(name[wrong], return_index=True)[1]]] = False


@dataclass(frozen=True)
class Alone:
    """Voices without what somebody else sings on known tracks.

    Attributes:
        voices: (n,). cut: (n,) bool, which lost a part. untold: (n,) bool, which say nothing any more, since nobody can
            say whose their voices are.
    """

    voices: Voices
    cut: np.ndarray
    untold: np.ndarray


def alone(voices: Voices, clips: Clips, name: np.ndarray, several_credited: np.ndarray, backend: Backend) -> Alone:
    """Return the voices without what somebody else sings on known tracks.

    Args:
        voices: (n,). clips: of the known tracks. name: (n,) 0, 1, ... for whom each was given, -1 for nobody.
        several_credited: (n,) whether a track's artist and title credit more than one person.
    """
    evidence = backend.evidence(voices.means, voices.seconds)
    whole = evidence.summed(name, int(name.max(initial=-1)) + 1)
    means, seconds = voices.means.astype(float), voices.seconds.copy()
    cut, untold = np.zeros((2, len(voices)), bool)
    order = np.argsort(clips.track, kind="stable")
    for track, n in zip(*np.unique(clips.track, return_counts=True), strict=True):
        mine, order = order[:n], order[n:]
        vectors, lengths = clips.vectors[mine], clips.seconds[mine]
        rest = whole[name[[track]]] - evidence[[track]]
        own = own_clips(backend.evidence(vectors, lengths), rest, bool(several_credited[track]), backend)
        if not own.all():
            cut[track], untold[track] = own.any(), not own.any()
            seconds[track] = lengths[own].sum()
            means[track] = (vectors * (lengths * own)[:, None]).sum(0) / max(seconds[track], NOTHING)
    return Alone(Voices(voices.track_ids, means, seconds), cut, untold)


def own_clips(clips: Evidence, rest: Evidence, several_credited: bool, backend: Backend) -> np.ndarray:
    """Return which clips of a known track may stand for its name (c,) bool: none, where nobody can say which are.

    Args:
        clips: the evidence of the track's clips. rest: that of the name's other known tracks, one row; without any, of
            precision 0. several_credited: whether the track's artist and title credit more than one person.
    """
    part, ratio = parts(clips, backend)
    if rest.precision.sum() > NOTHING:
        both = clips.summed(part.astype(int), 2)
        fits = expit(backend.pairs(both, rest[np.zeros(2, int)]) + logit(RIGHT)) > LIKELY
        return fits[part.astype(int)] if fits.any() else np.ones(len(clips), bool)  # a misfit as a whole: see `fit`
    return np.full(len(clips), not (several_credited and ratio < TWO))


def parts(clips: Evidence, backend: Backend) -> tuple[np.ndarray, float]:
    """Return of which of two parts each clip of a track is (c,) bool, and the log-likelihood ratio of the parts.

    The parts come of joining the two likeliest groups until two are left. The ratio of fewer than two clips is inf.
    """
    label, groups = np.arange(len(clips)), clips
    while len(groups) > 2:
        ratio = backend.table(groups, groups)
        np.fill_diagonal(ratio, -np.inf)
        left, right = sorted(np.unravel_index(ratio.argmax(), ratio.shape))
        label = np.where(label == right, left, label - (label > right))
        groups = clips.summed(label, len(groups) - 1)
    return label > 0, float(backend.pairs(groups[[0]], groups[[1]])[0]) if len(groups) == 2 else float("inf")
