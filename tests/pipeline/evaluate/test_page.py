"""The files that an evaluation writes."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluate import page
from pipeline.evaluate.measure import Results
from pipeline.evaluate.plan import Plan, failure
from pipeline.evaluate.tasks import Scored
from pipeline.scoring.scores import reliability
from pipeline.store import tables


def results() -> Results:
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 4 == 0
    found = Results(failures=[failure("s/ge2e", "unavailable", "weights <not> available")])
    for encoder in ("ours", "mfcc"):
        for condition, value in (("clean", 0.05), ("clean/crop_1s", 0.2), ("clean/crop_8s", 0.04)):
            found.rows.append(
                {
                    "encoder": encoder,
                    "set": "s",
                    "task": "similarity",
                    "condition": condition,
                    "metric": "eer",
                    "value": value,
                    "low": value / 2,
                    "high": 2 * value,
                    "n": 400,
                }
            )
        found.curves["s", encoder, "clean", "similarity"] = Scored(rng.normal(size=400) + 2 * labels, labels)
    found.confusion["s", "ours", "clean"] = np.array(["ann", "bob"]), np.array([[3, 1], [0, 4]])
    found.reliability["s", "ours", "clean"] = reliability(rng.random(400), labels)
    return found


class Tags(HTMLParser):
    """Counts elements, and collects what a browser would fetch from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.count: dict[str, int] = {}
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1
        self.links += [value for name, value in attrs if name in ("src", "href")]


def test_page_tables_and_figures_are_written(make_config, workspace):
    plan = Plan(encoder_ids={"ours": "small-1", "mfcc": "mfcc-19"}, unavailable={"ge2e": "weights not available"})
    text = page.write(make_config(), workspace, plan, results())
    assert "| ours | 5.0 (2.5–10.0) |" in text and "| ge2e | weights not available |" in text
    assert len(tables.read(workspace, "evaluation")) == 6
    assert tables.read(workspace, "failures")["message"].tolist() == ["weights <not> available"]
    names = [name.rpartition("/")[2] for name in workspace.list(page.FOLDER)]
    assert names == sorted(
        [
            "confusion-s-ours-clean.png",
            "det-s-clean-similarity.png",
            "evaluation.html",
            "evaluation.md",
            "lengths-s-clean.png",
            "reliability-s-ours-clean.png",
            "scores-s-clean-mfcc.png",
            "scores-s-clean-ours.png",
        ]
    )
    html = workspace.read_bytes(f"{page.FOLDER}/evaluation.html").decode()
    tags = Tags()
    tags.feed(html)
    assert tags.count["img"] == 6 and tags.count["table"] == 3
    assert all(link.startswith("data:image/png;base64,") for link in tags.links), "one page, nothing fetched"
    assert "weights &lt;not&gt; available" in html and "small-1" in html


def test_the_same_results_give_the_same_files(make_config, workspace):
    written = []
    for _ in range(2):
        found = results()
        for row in found.failures:
            row["failed_at"] = pd.Timestamp(0, tz="UTC")
        page.write(make_config(), workspace, Plan(), found)
        written.append([workspace.read_bytes(name) for name in workspace.list(page.FOLDER)])
    assert written[0] == written[1]


def test_without_results_there_is_still_a_page(make_config, workspace):
    text = page.write(make_config(), workspace, Plan(), Results())
    assert "Nothing could be measured" in text and tables.read(workspace, "evaluation").empty
    assert workspace.exists(f"{page.FOLDER}/evaluation.html")


def test_the_figure_of_lengths_compares_only_lengths():
    rows = pd.DataFrame(results().rows)
    found = page.crop_lengths(rows)
    assert found == {("s", "clean"): {name: {1.0: 0.2, 8.0: 0.04} for name in ("ours", "mfcc")}}


@pytest.mark.parametrize("parts", [("det", "a/b", "separated/mp3_64k", "x, y"), ("scores", "ü", "hf://who/it")])
def test_figure_names_are_valid_file_names(parts):
    assert re.fullmatch(r"[\w.+-]+", page._name(*parts))
