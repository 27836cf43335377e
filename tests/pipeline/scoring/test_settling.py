"""How many tracks answers settle, on simulated voices of which some are clear and some are not."""

from itertools import islice

import numpy as np

from pipeline.scoring.backend import Backend, Numbers
from pipeline.scoring.evidence import Evidence
from pipeline.scoring.settling import TURNS, Doubtful, Question, best_first

DIM = 64
BACKEND = Backend(np.zeros(DIM), np.eye(DIM), Numbers(0.6, 0.01, DIM, DIM / 2, 0.0))


def evidence(sizes: list[int], seconds: float = 60.0, scatter: float = 0.8) -> Evidence:
    """Return the evidence of tracks by singers with this many each."""
    rng = np.random.default_rng(1)
    who = np.repeat(np.arange(len(sizes)), sizes)
    rows = rng.normal(size=(len(sizes), DIM))[who] + scatter * rng.normal(size=(len(who), DIM))
    return BACKEND.evidence(rows, np.full(len(who), seconds))


def doubtful(sizes: list[int], belief: float = 0.9, own: float = 1.0) -> Doubtful:
    """Return voices with this many tracks each, about which nothing is known."""
    n = sum(sizes)
    return Doubtful(
        rows=np.arange(n),
        start=np.concatenate([[0], np.cumsum(sizes)]),
        own=np.full(n, own),
        belief=np.full(n, belief),
        shared=np.full(n, belief),
        odds=np.full(n, -2.0),
        taught=Evidence.of_tracks(np.zeros((len(sizes), DIM)), np.zeros(len(sizes))),
    )


def asked(voices: Doubtful, said: Evidence, others: list[Question] | None = None, n: int = 100) -> list[Question]:
    """Return the first `n` questions."""
    return list(islice(best_first(voices, others or [], said, BACKEND, 0.95), n))


def test_every_voice_is_asked_about_once_and_the_largest_first():
    sizes = [1, 6, 3, 1]
    found = asked(doubtful(sizes), evidence(sizes))
    voice = np.repeat(np.arange(4), sizes)[[question.row for question in found]]
    assert voice[:2].tolist() == [1, 2] and set(voice[:4].tolist()) == {0, 1, 2, 3}
    assert 4.5 < found[0].settles < 6 and found[0].n_tracks == 6
    assert [question.settles for question in found[2:]] == [1.0, 1.0], "a clear voice is settled by one answer"


def test_a_voice_that_one_answer_leaves_unclear_is_asked_about_again():
    sizes = [6, 1]
    found = asked(doubtful(sizes), evidence(sizes, scatter=1.3))
    again = [question.row for question in found if question.row < 6]
    assert 1 < len(again) == len(set(again)) <= TURNS
    assert found[0].settles < 5


def test_known_tracks_of_a_voice_make_its_answers_worth_less():
    sizes, said = [6, 6], evidence([6, 6])
    voices = doubtful(sizes)
    voices.taught.vector[0], voices.taught.precision[0] = said.vector[:5].sum(0), said.precision[:5].sum()
    taught, fresh = asked(voices, said, n=1)[0], asked(doubtful(sizes), said, n=1)[0]
    assert taught.row >= 6, "the sixth track of a voice of which five are known settles little"
    assert fresh.n_tracks == 6


def test_a_track_counts_as_much_as_its_answer_adds():
    sizes = [1, 1]
    voices = doubtful(sizes)
    voices.own[0] = 0.1
    assert [question.settles for question in asked(voices, evidence(sizes))] == [1.0, 0.1]


def test_other_questions_are_ranked_among_them():
    sizes = [4, 1]
    other = [Question(4, 2.0, 2), Question(3, 9.0, 9)]
    found = asked(doubtful(sizes), evidence(sizes), other)
    assert found[0] == other[1] and found[2] == other[0]
    assert asked(doubtful([]), evidence([1]), other) == other[::-1]
