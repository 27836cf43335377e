import numpy as np
import pytest

from jobs.bench import review
from jobs.bench.review import Archive, outcomes
from jobs.bench.singers import Catalogue
from pipeline.scoring.backend import Backend, Numbers
from pipeline.scoring.labelled import Clips
from pipeline.scoring.voices import Voices

DIM = 64
BACKEND = Backend(np.zeros(DIM), np.eye(DIM), Numbers(0.6, 0.01, DIM, DIM / 2, 0.0))


@pytest.fixture(scope="module")
def archive() -> Archive:
    """Return songs by ten singers with six each and by 100 with one."""
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(110), [6] * 10 + [1] * 100)
    rows = rng.normal(size=(110, DIM))[who] + 0.8 * rng.normal(size=(len(who), DIM))
    seconds = np.full(len(who), 60.0)
    ids = np.array([f"{i:03}" for i in range(len(who))], object)
    singer = np.array([f"Singer {i}" for i in who], object)
    clips = Clips(rows, seconds, np.arange(len(who)), singer)
    return Archive(Catalogue(Voices(ids, rows, seconds), clips, singer), BACKEND)


def test_chosen_answers_name_more_than_random_ones(archive: Archive, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(review, "DRAWS", 2)
    first, second = outcomes(archive, 0.0)
    assert first["before"].tolist() == [0, 0]
    assert first["reviewed"][0] >= 48 and first["reviewed"][1] == 0
    assert first["in_rounds"].tolist() == [50, 0]
    assert max(first["random"][0], second["random"][0]) < 40


def test_known_tracks_are_not_asked_about(archive: Archive):
    given = archive.known(0.5, np.random.default_rng(0))
    assert len(given) == len(set(archive.catalogue.singer[given])) == 5
    for asked in (archive.reviewed(given), archive.random(given, np.random.default_rng(0))):
        assert len(asked) == len(set(asked)) == review.ANSWERS
        assert not set(asked) & set(given)
