"""Credits as noisy labels: estimate from all voices and all credits how likely each credit is right.

The voice of a credited person is made of the tracks with that credit, each weighted by the probability that its credit
is right. That probability in turn comes from comparing the track with the voice of the person's other tracks and with
all other voices, and from how often credits are right on average (expectation maximisation).

- If a person has no other track, the voice says nothing about the credit.
- Even a right credit may come with another voice (a band's second singer, a guest). A share of them does, so a voice
  that is merely unlike is weaker evidence than one that is somebody else's. The share is `OTHER_VOICE` at first, and
  then estimated from the person's other tracks: if those do not sound like one voice, another voice is no surprise.

Dawid and Skene, "Maximum likelihood estimation of observer error-rates" (Applied Statistics 28, 1979). Raykar et al.,
"Learning from crowds" (JMLR 11, 2010).
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import logsumexp

from pipeline.scoring.backend import Backend
from pipeline.scoring.crowd import also, compared, place
from pipeline.scoring.evidence import Evidence
from pipeline.scoring.neighbours import in_blocks

OTHER_VOICE = 0.005  # prior share of right credits with a voice that is not the person's usual one
USUAL = 1.0  # number of tracks that this prior counts for
USUALLY_RIGHT = (57.0, 3.0)  # prior numbers of right and wrong credits
STEPS = (1.0, *[0.5] * 14)  # of the rounds: after whole steps, tracks that doubt each other would take turns for ever
SETTLED = 1e-3  # mean distance of a weight from where it should be, from which there are no more rounds
HEARD = 0.02  # precision from which the other tracks of a person count


@dataclass(frozen=True)
class Credits:
    """Who is credited where: each row has a `track (r,)` and a `person (r,)`; a track may credit several people.

    Rows that are `given (r,)` are known to be right.
    """

    track: np.ndarray
    person: np.ndarray
    given: np.ndarray
    n_people: int

    def table(self, n_tracks: int) -> csr_matrix:
        """Return a matrix (n_tracks, n_people) with 1 where a track credits a person."""
        return csr_matrix((np.ones(len(self.track)), (self.track, self.person)), (n_tracks, self.n_people))


@dataclass(frozen=True)
class Judged:
    """How likely `Credits` are right.

    Attributes:
        probability: (n,) that a track's credit is right; NaN if it has none.
        heard: (n,) whether any voice says something about it.
        weight: (r,) of each row in its person's voice.
        right: the share of all credits that are right.
    """

    probability: np.ndarray
    heard: np.ndarray
    weight: np.ndarray
    right: float


def judge(evidence: Evidence, credits: Credits, backend: Backend, near: np.ndarray | None = None) -> Judged:
    """Return how likely each track's credit is right, and the weight of each row in its person's voice.

    Args:
        evidence: of the n tracks.
        credits: of the tracks.
        backend: to score with.
        near: (n, k) the people with whom each track is compared, NOBODY for none. If not given, it is with all.
    """
    n, right = len(evidence), USUALLY_RIGHT[0] / sum(USUALLY_RIGHT)
    weight = np.where(credits.given, 1.0, right) / _per_track(np.ones(len(credits.track)), credits, n)[credits.track]
    probability, heard = np.full(n, np.nan), np.zeros(n, bool)
    if not len(credits.track):
        return Judged(probability, heard, weight, right)
    credited = np.bincount(credits.track, minlength=n) > 0
    other = np.full(len(credits.track), OTHER_VOICE)
    for step in STEPS:
        own, audible = own_voices(evidence, credits, weight, backend)
        others = someone_else(evidence, credits, weight, backend, near)
        share = np.where(audible, (1 - other) * np.exp(own) + other, 1.0)
        n_people = _per_track(np.ones(len(own)), credits, n)
        fits = _per_track(share, credits, n) / np.maximum(n_people, 1)
        belief = right * fits / (right * fits + (1 - right) * (1 + np.exp(others)) / 2)
        probability = np.where(credited, belief, np.nan)
        other = _other_voice(np.where(audible, probability[credits.track] * other / share, 0.0), credits)
        belonging = share / np.maximum(_per_track(share, credits, n), 1e-12)[credits.track]
        move = np.where(credits.given, 0.0, probability[credits.track] * belonging - weight)
        weight = weight + step * move
        heard = _per_track(audible.astype(float), credits, n) > 0
        seen = probability[heard]
        right = float((seen.sum() + USUALLY_RIGHT[0]) / (len(seen) + sum(USUALLY_RIGHT)))
        if np.abs(move).mean() < SETTLED:
            break
    return Judged(probability, heard, weight, right)


def _other_voice(unlike: np.ndarray, credits: Credits) -> np.ndarray:
    """Return for each row (r,) the share of the person's other tracks that have another voice.

    Args:
        unlike: (r,) how likely each row's credit is right but its voice another one.
        credits: whose rows these are.
    """
    tracks = np.bincount(credits.person, minlength=credits.n_people)[credits.person] - 1
    others = np.bincount(credits.person, unlike, minlength=credits.n_people)[credits.person] - unlike
    return (USUAL * OTHER_VOICE + others) / (USUAL + tracks)


def voices_of(evidence: Evidence, credits: Credits, weight: np.ndarray) -> Evidence:
    """Return the evidence of each person: the sum of the tracks with that credit, by the weight of each row."""
    shape = (credits.n_people, len(evidence))
    return evidence.mixed(csr_matrix((weight, (credits.person, credits.track)), shape))


def own_voices(
    evidence: Evidence, credits: Credits, weight: np.ndarray, backend: Backend
) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's ratio (r,) of its track with the person's others (0 if none), and whether there are any."""
    people = voices_of(evidence, credits, weight)

    def block(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        tracks = evidence[credits.track[rows]]
        others = people[credits.person[rows]] - tracks.scaled(weight[rows])
        return backend.pairs(tracks, others), others.precision > HEARD

    ratio, audible = map(np.concatenate, zip(*in_blocks(block, len(weight)), strict=True))
    return np.where(audible, np.minimum(np.where(np.isfinite(ratio), ratio, 0.0), 20.0), 0.0), audible


def someone_else(
    evidence: Evidence, credits: Credits, weight: np.ndarray, backend: Backend, near: np.ndarray | None = None
) -> np.ndarray:
    """Return the log of the mean likelihood ratio (n,) of each track with everybody whom it does not credit.

    People are weighted by the number of tracks that they are credited on, as a prior that another track is theirs.
    """
    people = voices_of(evidence, credits, weight)
    songs = np.bincount(credits.person, weight, minlength=credits.n_people)
    often = np.log(np.append(songs, songs.mean()) / songs.sum() + 1e-12)  # the last for people who are not compared
    order = np.argsort(credits.track, kind="stable")
    track, person = credits.track[order], credits.person[order]

    def block(rows: slice) -> np.ndarray:
        mine = slice(*np.searchsorted(track, [rows.start, rows.stop]))
        at, own = track[mine] - rows.start, person[mine]
        which = None if near is None else also(near[rows], at, own)
        table = compared(evidence[rows], people, which, backend)
        table[at, place(which, at, own)] = -np.inf
        share = often if which is None else often[np.pad(which, [(0, 0), (0, 1)], constant_values=len(songs))]
        return logsumexp(np.minimum(table, 20.0) + share, axis=1)

    return np.concatenate(in_blocks(block, len(evidence)))


def _per_track(values: np.ndarray, credits: Credits, n: int) -> np.ndarray:
    return np.bincount(credits.track, values, minlength=n)
