"""How many tracks an answer ("this is Ann") settles, and in which order to ask.

To settle is to give a name that was not there, or to take away a wrong one.

Tracks without a name fall into voices, each of tracks that may be by one vocalist. An answer teaches the vocalist's
voice, which is compared with the other tracks of it as tagging does (`pipeline.scoring.posterior`): by their own voices
and by theirs as a whole. Those settle whose probability reaches the one from which names are given. What an answer
settles counts for no other, so voices take turns (greedy maximisation of what all answers settle together), and one is
looked into only when it may be the best that is left: work grows with the tracks, not with their square.

Nemhauser, Wolsey, Fisher, "An analysis of approximations for maximizing submodular set functions" (1978). Minoux,
"Accelerated greedy algorithms for maximizing submodular set functions" (1978).
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from pipeline.scoring.backend import Backend, Evidence

TRIED = 8  # tracks of a voice that are weighed up: those that say most of it
TURNS = 5  # answers that are asked of one voice


@dataclass(frozen=True)
class Doubtful:
    """Tracks without a name, voice by voice.

    Attributes:
        rows: (k,) of the catalogue, those of voice i from `start[i]` to `start[i + 1]`.
        own: how much of an answer to each is news, 1 where nothing says who sings.
        belief: how likely each is the vocalist's. shared: how far the voice as a whole speaks for it.
        odds: the log-odds of each to be the vocalist's, by what is `taught` (voices,) already.
    """

    rows: np.ndarray
    start: np.ndarray
    own: np.ndarray
    belief: np.ndarray
    shared: np.ndarray
    odds: np.ndarray
    taught: Evidence


class Question(NamedTuple):
    """A track to ask about.

    Attributes:
        row: of the catalogue. settles: how many tracks the answer settles as expected, itself included.
        n_tracks: how many there are in its voice.
    """

    row: int
    settles: float
    n_tracks: int


def best_first(
    doubtful: Doubtful, others: list[Question], evidence: Evidence, backend: Backend, min_probability: float
) -> Iterator[Question]:
    """Yield what to ask, the question that settles most first.

    Args:
        others: questions whose answers settle what they do, whatever else is asked; asked first among equals.
    """
    sizes = np.diff(doubtful.start)
    most = sizes - 1 + np.maximum.reduceat(doubtful.own, doubtful.start[:-1]) if len(sizes) else np.zeros(0)
    # Entries are (-tracks settled, turn, number of the voice); before a voice is looked into, -tracks settled at most.
    waiting = [(-question.settles, -1, i) for i, question in enumerate(others)]
    waiting += [(-bound, 0, i) for i, bound in enumerate(most.tolist())]
    heapq.heapify(waiting)
    looked: dict[int, tuple[_Voice, int]] = {}
    while waiting:
        bound, turn, i = heapq.heappop(waiting)
        if turn < 0:
            yield others[i]
            continue
        if i in looked:
            voice, at = looked[i]
            yield Question(int(voice.rows[at]), -bound, int(sizes[i]))
            voice.answer(at)
            turn += 1
        else:
            voice = _Voice(doubtful, i, evidence, backend, min_probability)
        if turn < TURNS and not voice.settled.all():
            gain, at = voice.best()
            looked[i] = voice, at
            heapq.heappush(waiting, (-gain, turn, i))


class _Voice:
    """What answers to the tracks of one voice would settle."""

    def __init__(self, doubtful: Doubtful, i: int, evidence: Evidence, backend: Backend, min_probability: float):
        part = slice(doubtful.start[i], doubtful.start[i + 1])
        self.rows, self.own, self.belief = doubtful.rows[part], doubtful.own[part], doubtful.belief[part]
        self.shared, self.odds = doubtful.shared[part, None], doubtful.odds[part, None]
        self.tracks, self.taught = evidence[self.rows], doubtful.taught[[i]]
        self.backend, self.min_probability = backend, min_probability
        self.before = _informed(backend.table(self.tracks, self.taught))
        self.answered = np.zeros(len(self.rows), bool)
        self.settled = np.zeros(len(self.rows), bool)

    def best(self) -> tuple[float, int]:
        """Return how many tracks the best next answer settles, and which of the voice's rows it is about."""
        says = np.where(self.answered, -np.inf, self.belief * self.tracks.precision)
        tried = np.argsort(-says, kind="stable")[: min(TRIED, int((~self.answered).sum()))]
        probability = self._after(tried)
        more = (probability >= self.min_probability) & ~self.settled[:, None]
        more[tried, np.arange(len(tried))] = False
        gain = self.own[tried] + self.belief[tried] * (probability * more).sum(0)
        at = int(np.argmax(gain))
        return float(gain[at]), int(tried[at])

    def answer(self, at: int) -> None:
        """Take the track at a row for answered, and all for settled that this names."""
        one = np.array([at])
        self.settled |= self._after(one)[:, 0] >= self.min_probability
        self.answered[at] = self.settled[at] = True
        self.taught = self._with(one)

    def _with(self, tried: np.ndarray) -> Evidence:
        more = self.tracks[tried]
        return Evidence(self.taught.vector + more.vector, self.taught.precision + more.precision)

    def _after(self, tried: np.ndarray) -> np.ndarray:
        """Return how likely each track is the vocalist's (k, t) after one more answer, to each of `tried (t,)`."""
        taught, left = self._with(tried), ~self.answered
        rest = Evidence(
            self.tracks.vector[left].sum(0) - self.tracks.vector[tried],
            np.maximum(self.tracks.precision[left].sum() - self.tracks.precision[tried], 0.0),
        )
        alone = expit(self.odds + _informed(self.backend.table(self.tracks, taught)) - self.before)
        together = expit(self.odds + _informed(self.backend.pairs(rest, taught)))
        return self.shared * together + (1 - self.shared) * alone


def _informed(ratios: np.ndarray) -> np.ndarray:
    """Return log-likelihood ratios, 0 where a side knows nothing."""
    return np.where(np.isfinite(ratios), ratios, 0.0).astype(float)
