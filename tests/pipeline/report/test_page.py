"""The page as text: what it contains; hostile tags stay text."""

import json
import re

import pytest

from pipeline import report
from pipeline.report import clock, json_for_html
from pipeline.sections import ReportConfig
from pipeline.store import tables
from pipeline.store.workspace import Workspace


def island(page: str, name: str) -> dict:
    """Return a JSON island of the page."""
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_page_shows_what_is_in_the_tables(filled: Workspace):
    page, note = report.build(filled, ReportConfig())
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", page))
    assert "4 vocalists on 23 of 25 tracks" in text
    assert "no &lt;audio&gt; in it" in page
    for counted in (
        "With vocals24 tracks",
        "Instrumental1 track ",
        "Named6 tracks, about 1 likely wrong",
        "Grouped as voice-…17 tracks",
        "No vocalist found1 track ",
        "Artist tags wrong1 track ",
        "Failures2 items",
        "1 item: decode in scan",
        "scan 2 s 24 tracks 1",
    ):
        assert counted in text
    assert "3 min 20 s" in text
    assert "24 voices on the map, 24 snippets" in note


def test_the_page_needs_no_network(filled: Workspace):
    page, _ = report.build(filled, ReportConfig())
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)
    assert "@import" not in page
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_hostile_tags_stay_text(filled: Workspace):
    page, _ = report.build(filled, ReportConfig())
    assert "<img src=x" not in page
    assert page.count("<script") == 4
    assert island(page, "data")["title"][0].startswith("</script><script>window.hacked")


def test_questions_are_asked_with_their_candidates(filled: Workspace):
    page, _ = report.build(filled, ReportConfig(max_snippets=0))
    asked = re.search(r'<section id="review".*?</section>', page, re.DOTALL)
    assert asked
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", asked[0]))
    assert "Song 2tagged Artist 2 The voice voice-0002 has no name yetan answer settles about 6 of 6 tracks" in text
    assert "Artist 2 90 %" in text and "Ann 60 % Bob 30 %" in text
    assert 'data-name="O&#34;Neil, Ann"' in asked[0] and 'data-uri="/music/2, 2.mp3"' in asked[0]


def test_a_page_without_questions_says_so(filled: Workspace):
    tables.remove(filled, "review")
    page, _ = report.build(filled, ReportConfig(max_snippets=0))
    assert "There is nothing to ask" in page and "textarea id" not in page


@pytest.mark.parametrize(
    ("value", "said"), [(0.9996, "&gt; 99 %"), (0.004, "&lt; 1 %"), (0.42, "42 %"), (1.0, "100 %")]
)
def test_no_percentage_is_rounded_to_certainty(filled: Workspace, value: float, said: str):
    tags = tables.read(filled, "tags").assign(probability=value)
    tables.replace(filled, "tags", tags)
    assert f'<td class="number">{said}</td>' in report.build(filled, ReportConfig(max_snippets=0))[0]


def test_the_map_is_complete_and_finite(filled: Workspace):
    data = island(report.build(filled, ReportConfig())[0], "data")
    assert data["names"] == ["Ann", "voice-0001", "voice-0002", "voice-0003"]
    assert {len(data[name]) for name in ("id", "x", "y", "vocalist", "probability", "title", "start")} == {24}
    assert min(data["x"]) == -0.5
    assert max(data["y"]) <= 0.5
    assert data["vocalist"].count(-1) == 1


def test_a_large_map_is_a_seeded_sample_and_says_so(filled: Workspace):
    page, _ = report.build(filled, ReportConfig(max_points=10, max_snippets=3))
    assert len(island(page, "data")["id"]) == 10
    assert "10 of 24 voices are shown" in page
    assert len(island(page, "sounds")) == 3
    assert island(report.build(filled, ReportConfig(max_points=10))[0], "data")["id"] == island(page, "data")["id"]


def test_a_workspace_with_nothing_but_tracks_has_a_page(workspace: Workspace):
    tables.replace(workspace, "tracks", [{"track_id": "a", "uri": "/a.mp3", "duration_s": 1.0}])
    page, _ = report.build(workspace, ReportConfig())
    assert "no vocalist found yet" in page
    assert "Nothing failed." in page
    assert "<canvas" not in page


def test_json_in_html_cannot_end_its_element():
    text = json_for_html({"a": "</script><!-- \u2028 &"})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!-- \u2028 &"}


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0 s"), (59, "59 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")])
def test_durations_are_easy_to_read(seconds: float, said: str):
    assert clock(seconds) == said
