"""The page about a workspace: its content, its safety against hostile tags, and how it behaves in a browser."""

import json
import re
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from pipeline import report, tables
from pipeline.report import ReportConfig, clock, content, json_for_html, snippets
from pipeline.workspace import Workspace

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='hacked = 1'>"
RATE = 22050
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def fill(workspace: Workspace, n: int = 24, singers: int = 4, sound: bool = True) -> None:
    """Write the tables of a finished run: `n` sung tracks by `singers`, one instrumental, two failures."""
    ids = [f"{i:02x}" * 16 for i in range(n)]
    who = np.arange(n) % singers
    angle = 2 * np.pi * who / singers
    rng = np.random.default_rng(0)
    titles = [HOSTILE if i == 0 else f"Song {i}" for i in range(n)]
    tables.replace(workspace, "tracks", pd.DataFrame({
        "track_id": [*ids, "ff" * 16], "uri": [*(f"/music/{i}.mp3" for i in range(n)), "/music/intro.mp3"],
        "title": [*titles, "Intro"], "artist": [*(f"Artist {w}" for w in who), None], "duration_s": 180.0}))
    uris = [workspace.path(f"vocals_audio/{i[:2]}/{i}.flac") for i in ids]
    tables.write(workspace, "vocals", pd.DataFrame({
        "track_id": [*ids, "ff" * 16], "vocals_uri": [*uris, None], "has_vocals": [True] * n + [False]}), "a")
    tables.write(workspace, "embeddings", pd.DataFrame({
        "track_id": ids, "start_s": 1.0, "embedding": [[1.0, 0.0]] * n}), "a")
    tables.replace(workspace, "clusters", pd.DataFrame({
        "track_id": ids, "cluster_id": who.astype("int32"), "probability": 1.0, "outlier_score": 0.0,
        "x": 5 * np.cos(angle) + rng.normal(size=n), "y": 5 * np.sin(angle) + rng.normal(size=n)}))
    tables.replace(workspace, "tags", pd.DataFrame({
        "track_id": ids, "vocalist": [None if i == n - 1 else "Ann" if w == 0 else f"voice-{w:04d}"
                                      for i, w in enumerate(who)],
        "score": 0.5, "probability": 0.9, "source": ["unknown" if i == n - 1 else "enrolled" if w == 0 else "cluster"
                                                     for i, w in enumerate(who)],
        "file_artist": [f"Artist {w}" for w in who], "disagrees": [i == 5 for i in range(n)]}))
    now = datetime.now(UTC)
    tables.write(workspace, "failures", [
        {"stage": "scan", "key": "k1", "uri": "/music/<b>bad</b>.mp3", "error": "decode",
         "message": "no <audio> in it"},
        {"stage": "separate", "key": "k2", "uri": "/music/quiet.mp3", "error": "silent", "message": "silence"}], "a")
    tables.write(workspace, "runs", [{"stage": stage, "started_at": now, "seconds": seconds, "status": "ok", "done": n,
                                      "failed": 1, "message": ""} for stage, seconds in
                                     (("tag", 1.0), ("scan", 2.0), ("separate", 200.0))], "a")
    if sound:
        time_s = np.arange(4 * RATE) / RATE
        for i, uri in enumerate(uris):
            Path(uri).parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(uri, 0.2 * np.sin(2 * np.pi * (200 + 10 * i) * time_s).astype(np.float32), RATE)


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    """Return a workspace as after a finished run."""
    fill(workspace)
    return workspace


def island(page: str, name: str) -> dict:
    """Return a JSON island of the page."""
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_page_says_what_the_tables_hold(filled: Workspace):
    page, note = report.build(filled, ReportConfig())
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", page))
    assert "4 vocalists on 23 of 25 tracks" in text
    assert "no &lt;audio&gt; in it" in page
    assert "3 min 20 s" in text
    assert "24 voices on the map, 24 excerpts" in note


def test_page_asks_nothing_of_the_network(filled: Workspace):
    page, _ = report.build(filled, ReportConfig())
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)
    assert "@import" not in page
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_hostile_tags_stay_text(filled: Workspace):
    page, _ = report.build(filled, ReportConfig())
    assert "<img src=x" not in page
    assert page.count("<script") == 3
    assert island(page, "data")["title"][0] == HOSTILE


def test_map_is_whole_and_finite(filled: Workspace):
    data = island(report.build(filled, ReportConfig())[0], "data")
    assert data["names"] == ["Ann", "voice-0001", "voice-0002", "voice-0003"]
    assert {len(data[name]) for name in ("id", "x", "y", "vocalist", "probability", "title", "start")} == {24}
    assert min(data["x"]) == -0.5
    assert max(data["y"]) <= 0.5
    assert data["vocalist"].count(-1) == 1


def test_a_big_map_is_a_seeded_sample_and_says_so(filled: Workspace):
    page, _ = report.build(filled, ReportConfig(max_points=10, max_snippets=3))
    assert len(island(page, "data")["id"]) == 10
    assert "10 of 24 voices are shown" in page
    assert len(island(page, "sounds")) == 3
    assert island(report.build(filled, ReportConfig(max_points=10))[0], "data")["id"] == island(page, "data")["id"]


def test_excerpts_are_short_mp3_and_go_round_the_vocalists(filled: Workspace):
    tracks = content.tracks(filled)
    points, _ = content.points(filled, tracks, 100, np.random.default_rng(0))
    chosen = snippets.choose(points, 6)
    assert set(chosen["vocalist"][:4]) == {"Ann", "voice-0001", "voice-0002", "voice-0003"}
    assert bool(chosen["disagrees"].iloc[4]), "what disagrees comes before a second of each vocalist"
    sounds, unheard = snippets.cut(filled, chosen, 1.0)
    assert unheard == 0
    assert all(800 < len(sound) < 20_000 for sound in sounds.values())


def test_an_excerpt_is_the_asked_piece(tmp_path: Path):
    tone = np.zeros(6 * RATE, np.float32)
    tone[4 * RATE:5 * RATE] = 0.1 * np.sin(np.arange(RATE) * 2 * np.pi * 440 / RATE)
    soundfile.write(tmp_path / "v.flac", tone, RATE)
    (tmp_path / "e.mp3").write_bytes(snippets.excerpt(str(tmp_path / "v.flac"), 4.0, 1.5))
    samples, rate = soundfile.read(tmp_path / "e.mp3")
    assert rate == RATE
    assert len(samples) / rate == pytest.approx(1.5, abs=0.1)
    assert 0.5 < np.abs(samples).max() < 0.9, "soft voices are brought up"


def test_vocals_that_are_gone_are_counted(workspace: Workspace):
    fill(workspace, sound=False)
    page, note = report.build(workspace, ReportConfig(max_snippets=5))
    assert "5 could not be cut" in note
    assert island(page, "sounds") == {}


def test_spread_keeps_the_order():
    values = np.array([0.0, 1.0, 2.0, 100.0])
    spread = content.spread(values)
    assert (np.diff(spread) > 0).all()
    assert spread[0] == -0.5
    assert spread[2] > -0.3, "one far value does not press the others together"
    assert content.spread(np.ones(3)).tolist() == [0, 0, 0]


def test_evaluation_is_pivoted(workspace: Workspace):
    fill(workspace)
    tables.replace(workspace, "evaluation", [
        {"encoder": encoder, "set": "songs", "task": "similarity", "condition": "mix", "metric": metric, "value": value,
         "low": 0.01, "high": 0.2, "n": 10}
        for encoder in ("ours", "mfcc") for metric, value in (("eer", 0.1), ("threshold", 3.0))])
    found = content.evaluation(workspace, 10)
    assert found["metrics"] == ["eer"]
    assert [row["encoder"] for row in found["rows"]] == ["ours", "mfcc"]
    assert "Evaluation" in report.build(workspace, ReportConfig())[0]


def test_a_workspace_with_tracks_alone(workspace: Workspace):
    tables.replace(workspace, "tracks", [{"track_id": "a", "uri": "/a.mp3", "duration_s": 1.0}])
    page, _ = report.build(workspace, ReportConfig())
    assert "no vocalist found yet" in page
    assert "Nothing failed." in page
    assert "<canvas" not in page


def test_json_for_html_cannot_end_its_element():
    text = json_for_html({"a": "</script><!-- \u2028 &"})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!-- \u2028 &"}


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0 s"), (59, "59 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")])
def test_clock(seconds: float, said: str):
    assert clock(seconds) == said


# ---- in a browser

@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a report on disk, with 8 of its 24 voices inside and the others beside it."""
    workspace = Workspace(tmp_path_factory.mktemp("report"))
    fill(workspace)
    page, _ = report.build(workspace, ReportConfig(max_snippets=8, snippet_s=2))
    workspace.write_bytes(report.NAME, page.encode())
    return Path(workspace.path(report.NAME))


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """Start one headless Chromium, or skip."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=[
            "--no-sandbox", "--autoplay-policy=no-user-gesture-required"])


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desktop", "phone"])
def tab(browser, page_file: Path, request: pytest.FixtureRequest) -> Iterator:
    """Open the report at desktop and at phone width; an error in its script or a request fails the test."""
    width, height = request.param
    page = browser.new_page(viewport={"width": width, "height": height})
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if request.url.startswith("http") else None)
    page.goto(page_file.as_uri())
    until(page, "document.getElementById('canvas').width > 300 && !queued.frame")
    yield page
    page.close()
    assert wrong == []


def until(tab, expression: str) -> None:
    """Wait until an expression holds (the page's own policy forbids playwright's way of waiting)."""
    end = time.monotonic() + 15
    while not tab.evaluate(expression):
        assert time.monotonic() < end, f"never came true: {expression}"
        tab.wait_for_timeout(50)


def plays(tab, from_s: float) -> None:
    """Wait until the player is beyond a time."""
    until(tab, f"document.getElementById('audio').currentTime > {from_s}")


def colours_drawn(tab) -> int:
    """Return how many different hues are on the canvas."""
    return tab.evaluate("""() => {
        const c = document.getElementById('canvas');
        const pixels = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, seen = {};
        for (let i = 0; i < pixels.length; i += 4) {
            const rgb = [pixels[i], pixels[i + 1], pixels[i + 2]];
            if (pixels[i + 3] > 200 && Math.max(...rgb) - Math.min(...rgb) > 60)
                seen[rgb.map(v => v >> 5)] = (seen[rgb.map(v => v >> 5)] || 0) + 1;
        }
        return Object.values(seen).filter(count => count > 60).length;
    }""")


def place(tab, i: int) -> dict:
    """Return where a point lies on the canvas."""
    return tab.evaluate("i => ({x: sx(i), y: sy(i)})", i)


def test_the_map_draws_its_points_and_nothing_overflows(tab):
    assert colours_drawn(tab) >= 4
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.evaluate("window.hacked") is None


def test_a_click_on_a_point_plays_its_voice(tab):
    i = tab.evaluate("byId.get(data.embedded[0])")
    tab.locator("#canvas").click(position=place(tab, i))
    plays(tab, 0.2)
    assert tab.locator("#track-title").inner_text() == tab.evaluate("i => data.title[i]", i)
    assert tab.locator("#toggle").get_attribute("aria-label") == "Pause"


def test_what_is_not_inside_plays_from_beside_the_page(tab):
    outside = tab.evaluate("data.id.find(id => !sounds[id])")
    tab.evaluate("id => pick(byId.get(id), true)", outside)
    plays(tab, 1.1)


def test_hover_tells_who_it_is(tab):
    at, box = place(tab, 1), tab.locator("#canvas").bounding_box()
    tab.mouse.move(box["x"] + at["x"], box["y"] + at["y"])
    tab.wait_for_selector("#tip:not([hidden])")
    assert "voice-0001, 90 % sure" in tab.locator("#tip").inner_text()


def test_keys_walk_and_play(tab):
    tab.locator("#canvas").focus()
    tab.keyboard.press("ArrowRight")
    first = tab.locator("#track-title").inner_text()
    tab.keyboard.press("ArrowLeft")
    assert tab.locator("#track-title").inner_text() != first
    tab.keyboard.press("Enter")
    plays(tab, 0.1)


def test_legend_and_search_show_some(tab):
    tab.locator("#legend button", has_text="Ann").click()
    assert tab.locator("#found").inner_text() == "6 tracks shown"
    tab.locator("#find").fill("song 4")
    assert tab.locator("#found").inner_text() == "1 track shown"
    tab.locator("#canvas").press("Escape")
    assert tab.locator("#found").inner_text() == ""


def test_a_tables_button_plays(tab):
    tab.locator("#disagreements .play").first.click()
    plays(tab, 0.1)
    assert "another name" in tab.locator("#track-note").inner_text()
