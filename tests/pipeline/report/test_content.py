"""The content of the page, as plain rows and numbers."""

import numpy as np

from pipeline import report
from pipeline.report import content
from pipeline.sections import ReportConfig
from pipeline.store import tables
from pipeline.store.workspace import Workspace


def test_evaluation_is_pivoted(filled: Workspace):
    tables.replace(
        filled,
        "evaluation",
        [
            {
                "encoder": encoder,
                "set": "songs",
                "task": "similarity",
                "condition": "mix",
                "metric": metric,
                "value": value,
                "low": 0.01,
                "high": 0.2,
                "n": 10,
            }
            for encoder in ("ours", "mfcc")
            for metric, value in (("eer", 0.1), ("threshold", 3.0))
        ],
    )
    found = content.evaluation(filled, 10)
    assert found["metrics"] == ["eer"]
    assert [row["encoder"] for row in found["rows"]] == ["ours", "mfcc"]
    assert "Evaluation" in report.build(filled, ReportConfig())[0]


def test_vocalists_come_by_size_with_their_artist_tags(filled: Workspace):
    found = content.vocalists(content.tracks(filled), 3)
    assert found["total"] == 4
    assert [row["name"] for row in found["rows"]] == ["Ann", "voice-0001", "voice-0002"]
    ann = found["rows"][0]
    assert (ann["tracks"], ann["known"], ann["artists"], ann["share"]) == (6, True, ["Artist 0"], 1.0)
    assert found["all"]["name"][3] == "voice-0003", "what is not shown can be looked for"
    assert found["all"]["tracks"] == [6, 6, 6, 5]


def test_the_summary_numbers_add_up(filled: Workspace):
    facts = content.facts(filled, content.tracks(filled))
    assert facts["named_tracks"] + facts["grouped_tracks"] + facts["unknown"] == facts["sung"] == 24
    assert (facts["known"], facts["voices"], facts["instrumental"], facts["failures"]) == (1, 3, 1, 2)
    assert abs(facts["wrong_names"] - 0.6) < 1e-9, "each of six is wrong with probability 0.1"
    assert facts["hours"] == 25 * 180 / 3600


def test_failures_are_grouped_in_the_order_of_the_stages(filled: Workspace):
    groups = content.failures(filled, 10)["groups"]
    assert [(group["stage"], group["error"], group["total"]) for group in groups] == [
        ("scan", "decode", 1),
        ("separate", "silent", 1),
    ]


def test_runs_are_summed_by_stage(filled: Workspace):
    found = content.runs(filled)
    assert [row["stage"] for row in found["rows"]] == ["scan", "separate", "tag"]
    assert found["seconds"] == 203
    assert found["rows"][1]["share"] == 1
    assert {row["unit"] for row in found["rows"]} == {"track"}


def test_disagreements_are_listed(filled: Workspace):
    found = content.disagreements(content.tracks(filled), 10)
    assert [(row["label"], row["vocalist"], row["wrong"]) for row in found["rows"]] == [("Song 5", "voice-0001", 0.99)]
    assert (found["all"]["label"], found["all"]["wrong"]) == (["Song 5"], [0.99])


def test_numbers_have_four_digits_and_are_not_rounded_up_to_one():
    assert [content.number(value) for value in (0.123456, 0.99999, 1.0, np.nan, None)] == [
        0.1235,
        0.9999,
        1.0,
        None,
        None,
    ]
