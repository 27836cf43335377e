"""How many tracks an answer ("this is Ann") settles, and which questions to ask first.

An answer settles a track if the track gets a name from it, or loses a wrong one.

Tracks without a name are divided into voices: tracks that may be by one vocalist. An answer adds evidence about that
vocalist, with whom the voice's other tracks are then compared as in tagging (`pipeline.scoring.posterior`): each by
itself and all as a group. A track is settled if its probability reaches the one at which names are given. Each settled
track counts only once, so the questions go through the voices in turn (greedy maximisation of what all answers settle
together). A voice is evaluated only when it may be the best one left, so the work grows linearly with the tracks.

Nemhauser, Wolsey, Fisher, "An analysis of approximations for maximizing submodular set functions" (1978). Minoux,
"Accelerated greedy algorithms for maximizing submodular set functions" (1978).
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from pipeline.scoring.backend import Backend
from pipeline.scoring.evidence import Evidence

TRIED = 8  # tracks of a voice that are considered: those with most evidence
TURNS = 5  # questions about one voice


@dataclass(frozen=True)
class Doubtful:
    """Tracks without a name, voice by voice.

    Attributes:
        rows: (k,) of the catalogue; those of voice i go from `start[i]` to `start[i + 1]`.
        own: (k,) how much an answer about each track adds to what is known of it, 1 if nothing is.
        belief: (k,) probability that each track is by its voice's vocalist.
        shared: (k,) weight of the voice as a whole in that probability.
        odds: (k,) log-odds that each track is by the vocalist.
        taught: the evidence (voices,) that there is about the vocalists already.
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
        row: of the catalogue.
        settles: how many tracks the answer is expected to settle, including this one.
        n_tracks: how many tracks its voice has.
    """

    row: int
    settles: float
    n_tracks: int


def best_first(
    doubtful: Doubtful, others: list[Question], evidence: Evidence, backend: Backend, min_probability: float
) -> Iterator[Question]:
    """Yield the questions, those that settle most tracks first.

    Args:
        doubtful: the tracks without a name.
        others: questions whose value does not depend on other answers; they come first among equals.
        evidence: of all tracks.
        backend: to score with.
        min_probability: from which a track gets a name.
    """
    sizes = np.diff(doubtful.start)
    most = sizes - 1 + np.maximum.reduceat(doubtful.own, doubtful.start[:-1]) if len(sizes) else np.zeros(0)
    # Entries are (-tracks settled, turn, voice); until a voice is evaluated, an upper bound stands for tracks settled.
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
    """The tracks that answers about one voice would settle."""

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
        """Return how many tracks the best next answer settles, and the row within the voice that it is about."""
        says = np.where(self.answered, -np.inf, self.belief * self.tracks.precision)
        tried = np.argsort(-says, kind="stable")[: min(TRIED, int((~self.answered).sum()))]
        probability = self._after(tried)
        more = (probability >= self.min_probability) & ~self.settled[:, None]
        more[tried, np.arange(len(tried))] = False
        gain = self.own[tried] + self.belief[tried] * (probability * more).sum(0)
        at = int(np.argmax(gain))
        return float(gain[at]), int(tried[at])

    def answer(self, at: int) -> None:
        """Mark the track at a row as answered, and the tracks that get a name from it as settled."""
        one = np.array([at])
        self.settled |= self._after(one)[:, 0] >= self.min_probability
        self.answered[at] = self.settled[at] = True
        self.taught = self._with(one)

    def _with(self, tried: np.ndarray) -> Evidence:
        return self.taught + self.tracks[tried]

    def _after(self, tried: np.ndarray) -> np.ndarray:
        """Return how likely each track is by the vocalist (k, t) after one more answer about each of `tried (t,)`."""
        taught, left = self._with(tried), ~self.answered
        rest = self.tracks[left].summed(np.zeros(int(left.sum()), int), 1) - self.tracks[tried]
        alone = expit(self.odds + _informed(self.backend.table(self.tracks, taught)) - self.before)
        together = expit(self.odds + _informed(self.backend.pairs(rest, taught)))
        return self.shared * together + (1 - self.shared) * alone


def _informed(ratios: np.ndarray) -> np.ndarray:
    """Return log-likelihood ratios with 0 where nothing is known of a side."""
    return np.where(np.isfinite(ratios), ratios, 0.0).astype(float)
