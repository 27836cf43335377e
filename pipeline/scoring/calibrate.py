"""Fit a scoring back-end on labelled singers: from clips to a centre, a normalisation and the numbers of the score.

Trials are what `cluster` and `tag` really score: one, two or five tracks of a singer against a track, or as many, of
the same singer's other songs or of anybody else's, whole and cut into short pieces. A singer counts as much as another
however many songs there are. Singers of one song are enrolled as well, though no trial of theirs is a target: strangers
are as alike among themselves as anybody. The numbers are those of a logistic regression at a prior where names are
given, of trials in a space that other singers made, because a space is kinder to those that it was made of.

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

PRIOR = 0.005  # of a trial being of one singer, in the fit
FOLDS = 4  # parts of the singers, each compared in the space that the others make
STRANGERS = 40  # singers of one song who are enrolled, in each part
STRANGE = 0.2  # weight of their trials among those of two singers
ENROLLED = (1, 2, 5)
DRAWS = 4  # sets of tracks drawn for each singer and number of tracks
TOLD = 0.5  # pairs of tracks from which on a set tells how alike its tracks are
OTHERS = 50  # tracks that each set is compared with: so many singers' one each, and so many of all others'
STIFF = 5e-5  # how strongly the numbers are held near the usual ones: some of them say nearly the same


@dataclass(frozen=True)
class Trials:
    """Pairs of tracks, or of sets of tracks.

    Attributes:
        cosine: (t,).
        left_s, right_s: (t, 5) seconds of the up to five tracks on either side; 0: none.
        apart: (t,) by how much the sides are less or more alike than each is in itself; NaN where neither tells.
        target: (t,) whether both are one singer's.
        singer: (t,) whose set the left one is.
    """

    cosine: np.ndarray
    left_s: np.ndarray
    right_s: np.ndarray
    apart: np.ndarray
    target: np.ndarray
    singer: np.ndarray


def fit(catalogues: Sequence[Clips], encoder_id: str, seed: int = 0) -> Backend:
    """Return the back-end of labelled catalogues; a singer of one track is only ever somebody else.

    Tracks are compared within their catalogue, whose centre is moved as `cluster` moves it.

    Raises:
        NotMeasurable: fewer than two singers have two tracks.
    """
    singers = np.concatenate([singer_means(clips) for clips in catalogues])
    centre, matrix = singers.mean(0), space(catalogues)
    spread = float((((singers - centre) @ matrix) ** 2).sum(1).mean())
    backend = Backend(centre, matrix, Numbers(), encoder_id, spread)
    parts = folded(catalogues, seed)
    heard = [recordings(clips, np.random.default_rng([seed, i])) for i, (clips, _) in enumerate(parts)]
    for _ in range(2):  # how tracks are weighed in a set depends, a little, on the numbers
        found = []
        for (clips, inner), part in zip(parts, heard, strict=True):
            at = np.unique(clips.singer, return_inverse=True)[1]
            here = moved(replace(backend, matrix=inner), pool(clips)[0], at, 1.0)
            found.append(trials(here.evidence(part.means, part.seconds), part, np.random.default_rng([seed, 1])))
        backend = replace(backend, numbers=fit_numbers(joined(found), Numbers()))
    return backend


def space(catalogues: Sequence[Clips]) -> np.ndarray:
    """Return the matrix (d, d) in which clips within a track are white and singers spread more evenly."""
    within = within_matrix(np.sum([pool(clips)[2] for clips in catalogues], axis=0))
    own = [singer_means(clips) for clips in catalogues]
    return within @ between_matrix(np.concatenate([unit((means - means.mean(0)) @ within) for means in own]))


def folded(catalogues: Sequence[Clips], seed: int) -> list[tuple[Clips, np.ndarray]]:
    """Return the parts of all catalogues, no singer in two, each with the space that the other parts make.

    Every part has two singers with several tracks; where they are too few for that, all are one part, in its own space.
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
    """Return the part (t,) of each track, singers of several tracks and of one dealt out evenly."""
    names, at, count = np.unique(singer, return_inverse=True, return_counts=True)
    order = np.lexsort((np.random.default_rng(seed).permutation(len(names)), count > 1))
    fold = np.empty(len(names), int)
    fold[order] = np.arange(len(names)) % n
    return fold[at]


def joined(parts: Sequence[Trials]) -> Trials:
    """Return the trials of several catalogues as one, every singer with the same weight."""
    cosine, left, right, apart, target, singer = (
        np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Trials)
    )
    own = np.concatenate([np.full(len(part.singer), i) for i, part in enumerate(parts)])
    names = np.array([f"{i}/{name}" for i, name in zip(own, singer, strict=True)])
    return Trials(cosine, left, right, apart, target, names)


def trials(evidence: Evidence, heard: Recordings, rng: np.random.Generator) -> Trials:
    """Return trials of sets of a singer's tracks against others, none of which holds a piece of the same track.

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
    """Draws sets of recordings, and what they are compared with."""

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
        strangers = others[np.unique(singer[others], return_index=True)[1]]  # every other singer once
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
        """Return a recording each of so many of a singer's songs, none of those left out."""
        chosen = self.rng.choice(np.setdiff1d(self.songs[name], without), size, replace=False)
        own = np.flatnonzero(self.heard.singer == name)
        return np.array([self.rng.choice(own[self.heard.song[own] == song]) for song in chosen])


def weights(target: np.ndarray, singer: np.ndarray) -> np.ndarray:
    """Return weights (t,) that sum to 1, targets to PRIOR, every singer's to the same.

    Trials of singers without targets are STRANGE of the rest.
    """
    at = np.unique(singer.astype(str), return_inverse=True)[1]
    hits, misses = np.bincount(at, target), np.bincount(at, ~target)
    known = hits > 0
    strange = 0.0 if known.all() else STRANGE
    share = np.where(known, (1 - strange) / known.sum(), strange / max((~known).sum(), 1)) * (1 - PRIOR)
    hit = PRIOR / known.sum() / np.maximum(hits, 1)
    return np.where(target, hit[at], (share / np.maximum(misses, 1))[at])


def fit_numbers(found: Trials, start: Numbers) -> Numbers:
    """Return the numbers that describe trials best, by weighted logistic loss.

    Args:
        start: numbers near which they are held.

    Raises:
        NotMeasurable: targets score no higher than the rest.
    """
    if found.cosine[found.target].mean() <= found.cosine[~found.target].mean():
        raise NotMeasurable("recordings of one singer are no more alike than others': nothing can be calibrated")

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
    """Return how far two sides of a singer are from how alike the singer's tracks are (`Numbers.loose`)."""
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
    """Return the log-likelihood ratios (t,) that the numbers give to trials."""
    left, right = _reliability(found.left_s, numbers), _reliability(found.right_s, numbers)
    return numbers.usual(found.cosine, left * right)


def _reliability(seconds: np.ndarray, numbers: Numbers) -> np.ndarray:
    share = numbers.share * seconds / (seconds + numbers.settle_s)
    precision = (share / (1 - share)).sum(1)
    return precision / (1 + precision)
