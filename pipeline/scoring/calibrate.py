"""Fit a scoring back-end on labelled singers: from clips to a centre, a normalisation and the numbers of the score.

The trials are those that `cluster` and `tag` score: one, two or five tracks of a singer against as many or a single
track, of the same singer's other songs or of another singer, whole and in short pieces. All singers have the same
weight, however many songs they have. Singers with one song are enrolled too, although they have no target trials, since
they can be confused with each other like all others. The numbers come from a logistic regression at a prior at which
names are given. Trials are scored in a space that was fitted on other singers, since a space separates those that it
was fitted on too well.

Brummer and du Preez, "Application-independent evaluation of speaker detection", Computer Speech and Language 20 (2006).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from pipeline.scoring.backend import Backend, Numbers, between_matrix, room, within_matrix
from pipeline.scoring.centre import moved
from pipeline.scoring.evidence import Evidence, expected
from pipeline.scoring.labelled import Clips, Recordings, pool, recordings, singer_means
from pipeline.scoring.metrics import NotMeasurable
from pipeline.scoring.scores import unit

PRIOR = 0.005  # probability that a trial is a target, in the fit
FOLDS = 4  # parts of the singers, each scored in the space that the other parts give
STRANGERS = 40  # singers with one song who are enrolled, in each part
STRANGE = 0.2  # share of their trials in the weight of all non-targets
ENROLLED = (1, 2, 5)
DRAWS = 4  # sets of tracks drawn for each singer and number of tracks
TOLD = 0.5  # pairs of tracks in a set from which on their similarity is known
OTHERS = 50  # tracks that each set is compared with: one by each of 50 other singers, and 50 by any others
STIFF = 5e-5  # how strongly the numbers are kept near the usual ones, since some of them have nearly the same effect


@dataclass(frozen=True)
class Trials:
    """Pairs of tracks, or of sets of tracks.

    Attributes:
        cosine: (t,).
        left_s, right_s: (t, 5) seconds of up to five tracks on each side; 0 for none.
        apart: (t,) similarity of the sides minus that within each of them; NaN if that is unknown for both.
        target: (t,) whether both sides are by the same singer.
        singer: (t,) of the left side.
    """

    cosine: np.ndarray
    left_s: np.ndarray
    right_s: np.ndarray
    apart: np.ndarray
    target: np.ndarray
    singer: np.ndarray


def fit(catalogues: Sequence[Clips], encoder_id: str, seed: int = 0) -> Backend:
    """Return the back-end fitted on labelled catalogues; a singer with one track has no target trials.

    Tracks are compared within their catalogue, whose centre is moved as in `cluster`.

    Raises:
        NotMeasurable: fewer than two singers have two tracks.
    """
    singers = np.concatenate([singer_means(clips) for clips in catalogues])
    centre, matrix = singers.mean(0), space(catalogues)
    variance = float((((singers - centre) @ matrix) ** 2).sum(1).mean())
    backend = Backend(centre, matrix, Numbers(), encoder_id, variance)
    parts = folded(catalogues, seed)
    heard = [recordings(clips, np.random.default_rng([seed, i])) for i, (clips, _) in enumerate(parts)]
    for _ in range(2):  # the weights of tracks in a set depend slightly on the numbers
        found = []
        for (clips, inner), part in zip(parts, heard, strict=True):
            at = np.unique(clips.singer, return_inverse=True)[1]
            here = moved(replace(backend, matrix=inner), pool(clips)[0], at, 1.0)
            found.append(trials(here.evidence(part.means, part.seconds), part, np.random.default_rng([seed, 1])))
        backend = replace(backend, numbers=fit_numbers(joined(found), Numbers()))
    return backend


def space(catalogues: Sequence[Clips]) -> np.ndarray:
    """Return the matrix (d, d) that whitens the clips within a track and distributes singers more evenly."""
    within = within_matrix(np.sum([pool(clips)[2] for clips in catalogues], axis=0))
    own = [singer_means(clips) for clips in catalogues]
    return within @ between_matrix(np.concatenate([unit((means - means.mean(0)) @ within) for means in own]))


def folded(catalogues: Sequence[Clips], seed: int) -> list[tuple[Clips, np.ndarray]]:
    """Return the parts of all catalogues, split by singer, each with the space that the other parts give.

    Every part has at least two singers with several tracks. If there are too few, all are one part in its own space.
    """
    several = [int((np.unique(clips.singer, return_counts=True)[1] > 1).sum()) for clips in catalogues]
    n = min(FOLDS, min(several) // 2)
    if n < 2:
        return [(clips, space(catalogues)) for clips in catalogues]
    fold = [_folds(clips.singer, n, seed) for clips in catalogues]
    found = []
    for k in range(n):
        inner = space([clips.part(own != k) for clips, own in zip(catalogues, fold, strict=True)])
        found += [(clips.part(own == k), inner) for clips, own in zip(catalogues, fold, strict=True)]
    return found


def _folds(singer: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return the part (t,) of each track; singers with several tracks, and those with one, are distributed evenly."""
    names, at, count = np.unique(singer, return_inverse=True, return_counts=True)
    order = np.lexsort((np.random.default_rng(seed).permutation(len(names)), count > 1))
    fold = np.empty(len(names), int)
    fold[order] = np.arange(len(names)) % n
    return fold[at]


def joined(parts: Sequence[Trials]) -> Trials:
    """Return the trials of several catalogues together; all singers have the same weight."""
    cosine, left, right, apart, target, singer = (
        np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Trials)
    )
    own = np.concatenate([np.full(len(part.singer), i) for i, part in enumerate(parts)])
    names = np.array([f"{i}/{name}" for i, name in zip(own, singer, strict=True)])
    return Trials(cosine, left, right, apart, target, names)


def trials(evidence: Evidence, heard: Recordings, rng: np.random.Generator) -> Trials:
    """Return trials of sets of a singer's tracks against sets that contain no piece of the same tracks.

    Raises:
        NotMeasurable: fewer than two singers have two tracks.
    """
    songs = {name: np.unique(heard.song[heard.singer == name]) for name in np.unique(heard.singer)}
    several = [name for name, own in songs.items() if len(own) > 1]
    if len(several) < 2:
        raise NotMeasurable("calibration needs two singers or more with two tracks or more")
    draw = _Draw(evidence, heard, songs, rng)
    found = [
        draw.against(name, size)
        for name in several
        for size in ENROLLED
        if len(songs[name]) > size
        for _ in range(DRAWS * (len(songs[name]) if size == 1 else 1))
    ]
    alone = [name for name, own in songs.items() if len(own) == 1]
    found += [draw.against(name, 1) for name in rng.permutation(np.array(alone, object))[:STRANGERS]]
    return Trials(*(np.concatenate(column) for column in zip(*found, strict=True)))


@dataclass(frozen=True)
class _Draw:
    """Draws sets of recordings, and the recordings that they are compared with."""

    evidence: Evidence
    heard: Recordings
    songs: dict[str, np.ndarray]
    rng: np.random.Generator

    def against(self, name: str, size: int) -> tuple[np.ndarray, ...]:
        """Return one set's trials, a column for each field of `Trials`."""
        singer, song = self.heard.singer, self.heard.song
        enrolled = self._set(name, size, ())
        own = np.flatnonzero((singer == name) & ~np.isin(song, song[enrolled]))
        others = self.rng.permutation(np.flatnonzero(singer != name))
        strangers = others[np.unique(singer[others], return_index=True)[1]]  # one track of every other singer
        single = np.concatenate([own, self.rng.permutation(strangers)[:OTHERS], others[:OTHERS]])
        sets = [np.array([row]) for row in single]
        if size > 1:
            left = {other: len(own) - size * (other == name) for other, own in self.songs.items()}
            sets += [self._set(other, size, song[enrolled]) for other in self.songs if left[other] >= size]
        group = np.repeat(np.arange(len(sets)), [len(rows) for rows in sets])
        tested = self.evidence[np.concatenate(sets)].summed(group, len(sets))
        model = self.evidence[enrolled].summed(np.zeros(size, int), 1)
        seconds = np.zeros((len(sets), max(ENROLLED)))
        for row, rows in zip(seconds, sets, strict=True):
            row[: len(rows)] = self.heard.seconds[rows]
        mine = np.zeros((len(sets), max(ENROLLED)))
        mine[:, :size] = self.heard.seconds[enrolled]
        target = np.array([singer[rows[0]] == name for rows in sets])
        cosine, one, other = tested.direction @ model.direction[0], model.sides, tested.sides
        apart = cosine * one.length * other.length - expected(one, other)
        apart = np.where(one.links + other.links > TOLD, apart, np.nan)
        return cosine, mine, seconds, apart, target, np.full(len(sets), name, object)

    def _set(self, name: str, size: int, without: np.ndarray | tuple) -> np.ndarray:
        """Return one recording each of `size` songs of a singer, excluding the songs in `without`."""
        chosen = self.rng.choice(np.setdiff1d(self.songs[name], without), size, replace=False)
        own = np.flatnonzero(self.heard.singer == name)
        return np.array([self.rng.choice(own[self.heard.song[own] == song]) for song in chosen])


def weights(target: np.ndarray, singer: np.ndarray) -> np.ndarray:
    """Return weights (t,) that sum to 1, those of targets to PRIOR, and those of every singer to the same.

    Trials of singers without targets have a share of STRANGE in the weight of all non-targets.
    """
    at = np.unique(singer.astype(str), return_inverse=True)[1]
    hits, misses = np.bincount(at, target), np.bincount(at, ~target)
    known = hits > 0
    strange = 0.0 if known.all() else STRANGE
    share = np.where(known, (1 - strange) / known.sum(), strange / max((~known).sum(), 1)) * (1 - PRIOR)
    hit = PRIOR / known.sum() / np.maximum(hits, 1)
    return np.where(target, hit[at], (share / np.maximum(misses, 1))[at])


def fit_numbers(found: Trials, start: Numbers) -> Numbers:
    """Return the numbers with the least weighted logistic loss on trials.

    Args:
        found: the trials.
        start: the numbers that the fit is kept near.

    Raises:
        NotMeasurable: targets score no higher than non-targets.
    """
    if found.cosine[found.target].mean() <= found.cosine[~found.target].mean():
        raise NotMeasurable("recordings of one singer are no more similar than others, so nothing can be calibrated")

    def loss(theta: np.ndarray) -> float:
        odds = ratio(found, _unpack(theta)) + logit(PRIOR)
        miss = np.logaddexp(0, np.where(found.target, -odds, odds))
        return float((weight * miss).sum() + STIFF * ((theta - first) ** 2).sum()) / PRIOR

    weight = weights(found.target, found.singer)
    first = _pack(start)
    best = minimize(loss, first, method="L-BFGS-B", options={"eps": 1e-4, "maxiter": 60})
    numbers = _unpack(best.x)
    return replace(numbers, loose=looseness(found, numbers))


def looseness(found: Trials, numbers: Numbers) -> float:
    """Return how far the similarity of two sides of a singer is from that of the singer's tracks (`Numbers.loose`)."""
    rows = np.flatnonzero(found.target & np.isfinite(found.apart))
    if not len(rows):
        return numbers.loose
    square = _reliability(found.left_s[rows], numbers) * _reliability(found.right_s[rows], numbers)
    _, at, count = np.unique(found.singer[rows].astype(str), return_inverse=True, return_counts=True)
    return float(np.average(found.apart[rows] ** 2 / room(square), weights=1.0 / count[at]))


def _pack(numbers: Numbers) -> np.ndarray:
    return np.array([logit(numbers.share), *np.log([numbers.settle_s, numbers.slope, numbers.curve]), numbers.offset])


def _unpack(theta: np.ndarray) -> Numbers:
    settle_s, slope, curve = np.exp(theta[1:4]).tolist()
    return Numbers(float(expit(theta[0])), settle_s, slope, curve, float(theta[4]))


def ratio(found: Trials, numbers: Numbers) -> np.ndarray:
    """Return the log-likelihood ratios (t,) of trials for these numbers."""
    left, right = _reliability(found.left_s, numbers), _reliability(found.right_s, numbers)
    return numbers.usual(found.cosine, left * right)


def _reliability(seconds: np.ndarray, numbers: Numbers) -> np.ndarray:
    share = numbers.share * seconds / (seconds + numbers.settle_s)
    precision = (share / (1 - share)).sum(1)
    return precision / (1 + precision)
