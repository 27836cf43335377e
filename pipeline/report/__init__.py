"""The report: one HTML page about a workspace, with everything that it shows and plays inside it.

The page makes no network requests. Its texts come from the tags of files of unknown origin, so all of them are escaped,
and a content security policy lets only the page's own script run.
"""

import base64
import gzip
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from pipeline.report import content, review, snippets, voice_map
from pipeline.sections import ReportConfig
from pipeline.store.workspace import Workspace

NAME = "report.html"
FOLDER = Path(__file__).parent


def build(workspace: Workspace, config: ReportConfig, seed: int = 0) -> tuple[str, str]:
    """Return the page about a workspace, and a sentence about what is in it."""
    tracks = content.tracks(workspace)
    asked = review.read(workspace)
    points, n_voices = voice_map.points(workspace, tracks, config.max_points, np.random.default_rng(seed), asked)
    chosen = snippets.choose(points, config.max_snippets, list(asked["track_id"]))
    sounds, unheard = snippets.encode(workspace, chosen, config.snippet_s)
    page = {
        "workspace": workspace.root,
        "made_at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "facts": content.facts(workspace, tracks),
        "n_voices": n_voices,
        "n_points": len(points),
        "vocalists": content.vocalists(tracks, config.max_rows),
        "review": review.questions(workspace, asked, tracks),
        "disagreements": content.disagreements(tracks, config.max_rows),
        "failures": content.failures(workspace, config.max_rows),
        "runs": content.runs(workspace),
        "evaluation": content.evaluation(workspace, config.max_rows),
        "max_rows": config.max_rows,
        "snippet_s": config.snippet_s,
    }
    data = voice_map.data(workspace, points, sounds)
    note = f"{len(points)} voices on the map, {len(sounds)} snippets"
    return render(page, data, sounds), note + (f", {unheard} could not be read" if unheard else "")


def render(page: dict[str, Any], data: dict[str, Any], sounds: dict[str, bytes]) -> str:
    """Fill the page's template; `data` is for the map, `sounds` are mp3 by track_id."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"clock": clock, "count": lambda n: f"{n:,}"}
    style = (FOLDER / "page.css.jinja").read_text()
    source = "\n".join((FOLDER / f"{name}.js.jinja").read_text() for name in ("map", "page", "find", "review"))
    digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
    encoded = {track_id: base64.b64encode(sound).decode() for track_id, sound in sounds.items()}
    return environment.get_template("page.html.jinja").render(
        page,
        script=Markup(source),
        style=Markup(style),
        script_hash=digest,
        data=json_for_html(data),
        all=compressed({name: page[name]["all"] for name in ("vocalists", "disagreements")}),
        sounds=json_for_html(encoded),
    )


def json_for_html(value: Any) -> Markup:
    """Return JSON that is safe inside a script element, whatever texts it contains."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def compressed(value: Any) -> str:
    """Return JSON as base64 of gzip, which a browser unpacks when somebody looks for what is in it."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def clock(seconds: float) -> str:
    """Return a duration as `42 s`, `3 min 05 s` or `2 h 10 min`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
