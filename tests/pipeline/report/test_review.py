"""What to listen to next, in words."""

import pandas as pd
import pytest

from pipeline.report import content, review
from pipeline.store import tables
from pipeline.store.workspace import Workspace


def test_questions_are_sorted_by_rank_and_show_what_is_known(filled: Workspace):
    found = review.questions(filled, review.read(filled), content.tracks(filled))
    assert [row["label"] for row in found["rows"]] == ["Song 2", "Song 5", "Song 23"]
    assert found["total"] == 3 and found["names"] == ["Ann"]
    first = found["rows"][0]
    assert first["candidates"] == [("Artist 2", 0.9), ('O"Neil, Ann', None)]
    assert (first["vocalist"], first["artist"], first["uri"]) == ("voice-0002", "Artist 2", "/music/2, 2.mp3")


def test_only_the_first_are_on_the_page(filled: Workspace):
    rows = pd.concat([tables.read(filled, "review")] * 10).assign(rank=range(30, 0, -1))
    tables.replace(filled, "review", rows)
    asked = review.read(filled)
    assert asked["rank"].tolist() == list(range(1, review.SHOWN + 1))
    assert review.questions(filled, asked, content.tracks(filled))["total"] == 30


def test_a_track_that_is_gone_is_not_asked_about(filled: Workspace):
    tracks = content.tracks(filled)
    gone = tracks[tracks["label"] != "Song 5"]
    assert len(review.questions(filled, review.read(filled), gone)["rows"]) == 2


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("known track in doubt", "Given as Ann, but unlike the other tracks given for that name"),
        ("credit in doubt", "Tagged Bob, which is likely wrong"),
        ("two likely names", "Two names are likely"),
        ("likely name", "One name is likely, but not sure enough"),
        ("unnamed voice", "The voice Ann has no name yet"),
    ],
)
def test_reasons_are_explained_in_words(filled: Workspace, reason: str, said: str):
    tables.replace(filled, "review", tables.read(filled, "review").head(1).assign(reason=reason))
    tracks = content.tracks(filled).assign(vocalist="Ann", artist="Bob")
    assert review.questions(filled, review.read(filled), tracks)["rows"][0]["why"] == said
