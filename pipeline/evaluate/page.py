"""The results of an evaluation: the table `evaluation/`, and a folder with Markdown, pictures and an HTML page."""

import base64
from typing import Any

import jinja2
import pandas as pd

from pipeline.config import Config
from pipeline.evaluate import markdown
from pipeline.evaluate.conditions import PLAIN, parse
from pipeline.evaluate.measure import Results
from pipeline.evaluate.plan import Plan
from pipeline.store import tables
from pipeline.store.schemas import SCHEMAS
from pipeline.store.workspace import Workspace

FOLDER = "evaluation_report"
MEASURES = "evaluate-measures-whole"  # the part of failures/ that each run replaces; gathering puts no rows into it
COLUMNS = SCHEMAS["evaluation"].names


def write(config: Config, workspace: Workspace, plan: Plan, results: Results) -> str:
    """Write the table and the folder, and return the Markdown."""
    rows = pd.DataFrame(results.rows, columns=COLUMNS)
    tables.replace(workspace, "evaluation", rows)
    workspace.delete(tables.part_name("failures", MEASURES))
    if results.failures:
        tables.write(workspace, "failures", results.failures, MEASURES)
    text = markdown.render(rows, plan.unavailable)
    pictures = draw(results, rows)
    workspace.delete(FOLDER)
    workspace.write_bytes(f"{FOLDER}/evaluation.md", text.encode())
    for name, picture in pictures.items():
        workspace.write_bytes(f"{FOLDER}/{name}.png", picture)
    ids = ", ".join(f"{name} = {encoder_id}" for name, encoder_id in plan.encoder_ids.items())
    subtitle = f"Encoders: {ids}. Crops of {config.evaluate.crop_s:g} s, cosine; seed {config.seed}."
    workspace.write_bytes(f"{FOLDER}/evaluation.html", page(text, pictures, results, subtitle).encode())
    return text


def draw(results: Results, rows: pd.DataFrame) -> dict[str, bytes]:
    """Return all pictures by file name, without suffix."""
    from pipeline.evaluate import figures  # matplotlib comes with an extra

    made: dict[str, bytes] = {}
    by_place: dict[tuple[str, str, str], dict[str, Any]] = {}
    for (set_name, encoder, condition, task), scored in results.curves.items():
        if condition in PLAIN:
            by_place.setdefault((set_name, condition, task), {})[encoder] = scored
    for (set_name, condition, task), curves in by_place.items():
        made[_name("det", set_name, condition, task)] = figures.det(curves, f"{set_name}, {condition}: {task}")
        for encoder, scored in curves.items():
            if task == "similarity":
                title = f"{set_name}, {condition}: {encoder}"
                made[_name("scores", set_name, condition, encoder)] = figures.histogram(scored, title)
    for where, (singers, named) in results.confusion.items():
        made[_name("confusion", *where)] = figures.confusion(singers, named, ", ".join(where))
    for where, found in results.reliability.items():
        made[_name("reliability", *where)] = figures.reliability(found, ", ".join(where))
    for (set_name, base), values in crop_lengths(rows).items():
        made[_name("lengths", set_name, base)] = figures.lengths(values, f"{set_name}, {base}: length of crops")
    return made


def crop_lengths(rows: pd.DataFrame) -> dict[tuple[str, str], dict[str, dict[float, float]]]:
    """Return (set, base) -> encoder -> seconds -> EER of the conditions that change only the length of crops."""
    found: dict[tuple[str, str], dict[str, dict[float, float]]] = {}
    rows = rows[(rows["task"] == "similarity") & (rows["metric"] == "eer")]
    for row in rows.to_dict("records"):
        condition = parse(row["condition"])
        if [kind for kind, _ in condition.changes] == ["crop"]:
            by_encoder = found.setdefault((row["set"], condition.base), {})
            by_encoder.setdefault(row["encoder"], {})[condition.changes[0][1]] = row["value"]
    return found


def _name(*parts: str) -> str:
    kept = "-".join(parts).replace("/", "-").replace(", ", "-")
    return "".join(letter if letter.isalnum() or letter in "-_.+" else "_" for letter in kept)


def page(text: str, pictures: dict[str, bytes], results: Results, subtitle: str) -> str:
    """Return one HTML page with everything inside it."""
    loader = jinja2.PackageLoader("pipeline.evaluate", ".")
    template = jinja2.Environment(loader=loader, autoescape=True).get_template("page.html.jinja")
    encoded = [(name, base64.b64encode(picture).decode()) for name, picture in pictures.items()]
    failures = [(row["key"], row["message"]) for row in results.failures]
    return template.render(blocks=_blocks(text), pictures=encoded, failures=failures, subtitle=subtitle)


def _blocks(text: str) -> list[dict[str, Any]]:
    """Return the headings, paragraphs and tables of the Markdown that `markdown.render` writes."""
    blocks: list[dict[str, Any]] = []
    for part in text.strip().split("\n\n"):
        lines = part.split("\n")
        if lines[0].startswith("### "):
            blocks.append({"kind": "heading", "text": lines[0].removeprefix("### ")})
        elif lines[0].startswith("|"):
            cells = [line.strip("| ").split(" | ") for line in lines]
            blocks.append({"kind": "table", "header": cells[0], "body": cells[2:]})
        else:
            blocks.append({"kind": "text", "text": lines[0].strip("*"), "strong": lines[0].startswith("*")})
    return blocks
