"""The page in a real browser, at desktop and at phone width: the map draws, the player plays."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.bench.screenshot import chromium
from pipeline import report
from pipeline.people.known import read_known
from pipeline.sections import ReportConfig
from pipeline.store.workspace import Workspace


@pytest.fixture(scope="module")
def page_file(filled_folder: Path) -> Path:
    """Return a report on disk that contains 8 of its 24 voices; the others are files beside it."""
    workspace = Workspace(filled_folder)
    page, _ = report.build(workspace, ReportConfig(max_snippets=8, snippet_s=2))
    workspace.write_bytes(report.NAME, page.encode())
    return Path(workspace.path(report.NAME))


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """Start one headless Chromium, or skip."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if (path := chromium()) is None:
        pytest.skip("there is no chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        )


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
    """Wait until an expression is true (the page's content policy forbids playwright's own waiting)."""
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
    """Return the position of a point on the canvas."""
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


def test_a_voice_that_is_not_inside_plays_from_the_file_beside_the_page(tab):
    outside = tab.evaluate("data.id.find(id => !sounds[id])")
    tab.evaluate("id => pick(byId.get(id), true)", outside)
    plays(tab, 1.1)


def test_hovering_shows_the_track(tab):
    at, box = place(tab, 1), tab.locator("#canvas").bounding_box()
    tab.mouse.move(box["x"] + at["x"], box["y"] + at["y"])
    tab.wait_for_selector("#tip:not([hidden])")
    assert "voice-0001, 90 % sure" in tab.locator("#tip").inner_text()


def test_keys_move_between_points_and_play(tab):
    tab.locator("#canvas").focus()
    tab.keyboard.press("ArrowRight")
    first = tab.locator("#track-title").inner_text()
    tab.keyboard.press("ArrowLeft")
    assert tab.locator("#track-title").inner_text() != first
    tab.keyboard.press("Enter")
    plays(tab, 0.1)


def test_legend_and_search_filter_the_points(tab):
    tab.locator("#legend button", has_text="Ann").click()
    assert tab.locator("#found").inner_text() == "6 tracks shown"
    tab.locator("#find").fill("song 4")
    assert tab.locator("#found").inner_text() == "1 track shown"
    tab.locator("#canvas").press("Escape")
    assert tab.locator("#found").inner_text() == ""


def test_a_button_in_a_table_plays(tab):
    tab.locator("#disagreements .play").first.click()
    plays(tab, 0.1)
    assert "another name" in tab.locator("#track-note").inner_text()


def test_a_question_can_be_played_answered_and_copied(tab):
    first = tab.locator("#review tbody tr").first
    first.locator(".play").click()
    plays(tab, 0.1)
    assert tab.locator("#copy").is_disabled()
    first.locator(".choice", has_text="Artist 2").click()
    assert first.locator("input").input_value() == "Artist 2"
    assert first.locator(".choice").first.get_attribute("aria-pressed") == "true"
    tab.locator("#review input[data-uri]").last.fill(' O"Neil, Ann ')
    lines = '"/music/2, 2.mp3",Artist 2\n"/music/23, 23.mp3","O""Neil, Ann"\n'
    assert tab.locator("#lines").input_value() == lines
    tab.locator("#copy").click()
    until(tab, "document.getElementById('copied').textContent === 'Copied'")
    first.locator(".choice", has_text="Artist 2").click()
    assert tab.locator("#lines").input_value() == lines.partition("\n")[2], "a second click takes an answer back"


def test_questions_can_be_answered_by_keys(tab):
    tab.locator("#review .play").first.focus()
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    assert tab.locator("#lines").input_value() == '"/music/2, 2.mp3",Artist 2\n'
    tab.keyboard.press("Tab")
    tab.keyboard.press("Space")
    assert tab.locator("#lines").input_value() == '"/music/2, 2.mp3","O""Neil, Ann"\n'
    tab.keyboard.press("Tab")
    tab.keyboard.press("Control+a")
    tab.keyboard.type("Cy")
    assert tab.locator("#lines").input_value() == '"/music/2, 2.mp3",Cy\n'
    assert tab.locator("#review .choice[aria-pressed=true]").count() == 0


def test_copied_answers_are_read_as_known_names(tab, tmp_path: Path):
    for field, name in zip(tab.locator("#review input[data-uri]").all(), ("Ann; Bob", "Ζωή", "'Cy'"), strict=True):
        field.fill(name)
    path = tmp_path / "known.csv"
    path.write_text("track,vocalist\n" + tab.locator("#lines").input_value())
    rows = read_known(str(path)).rows
    assert rows["track"].tolist() == ["/music/2, 2.mp3", "/music/5, 5.mp3", "/music/23, 23.mp3"]
    assert rows["vocalist"].tolist() == ["Ann; Bob", "Ζωή", "'Cy'"]


def test_search_finds_rows_that_a_long_table_does_not_show(browser, filled_folder: Path, tmp_path: Path):
    page, _ = report.build(Workspace(filled_folder), ReportConfig(max_snippets=0, max_rows=2))
    (tmp_path / "long.html").write_text(page)
    tab = browser.new_page()
    tab.goto((tmp_path / "long.html").as_uri())
    box = tab.locator("#vocalists .among")
    assert "Find among all 4 vocalists" in box.inner_text()
    for words, found in (("0003", ["voice-0003: 5 tracks, 90 % sure"]), ("nobody", []), ("", [])):
        box.locator("input").fill(words)
        told = f"{len(found)} found" if words else ""
        until(tab, f"document.querySelector('#vocalists .among [role=status]').textContent === '{told}'")
        assert box.locator("li").all_inner_texts() == found
    assert tab.locator("#disagreements .among").count() == 0, "all of it is shown"
    tab.close()
