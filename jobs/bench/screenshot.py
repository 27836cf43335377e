"""The README's picture: a screenshot of a report in a headless Chromium.

make picture WORKSPACE=workspace/demo        (writes docs/report.png)
"""

import argparse
import contextlib
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 1280, 860
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """Return the path of a Chromium on this machine, None where there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def picture(report: Path, target: Path) -> None:
    """Write a PNG of the top of a report.

    Raises:
        FileNotFoundError: there is no such report, or no Chromium on this machine.
    """
    with _opened(report) as page:
        page.wait_for_timeout(1000)  # the map is drawn
        target.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(target))


def drawn(report: Path) -> float:
    """Return how many seconds pass from a report's opening until it is drawn.

    Raises:
        FileNotFoundError: there is no such report, or no Chromium on this machine.
    """
    with _opened(report) as page:
        # The second frame after loading is asked for when the first has been drawn.
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return float(page.evaluate("() => performance.now()")) / 1000


@contextlib.contextmanager
def _opened(report: Path) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    browser_path = chromium()
    if browser_path is None:
        raise FileNotFoundError(f"none of {', '.join(BROWSERS)} is on this machine")
    if not report.exists():
        raise FileNotFoundError(f"there is no {report}: run `make report` for that workspace first")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(report.absolute().as_uri())
        yield page
        browser.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Take the picture."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.screenshot", description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args(argv)
    try:
        picture(arguments.workspace / "report.html", arguments.target)
    except FileNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
