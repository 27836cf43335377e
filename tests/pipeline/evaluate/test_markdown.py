"""The Markdown tables of an evaluation."""

import pandas as pd
import pytest

from pipeline.evaluate import markdown

COLUMNS = ["encoder", "set", "task", "condition", "metric", "value", "low", "high", "n"]
NAN = float("nan")


def rows(*found) -> pd.DataFrame:
    return pd.DataFrame([(*row, NAN, NAN, 10)[:9] if len(row) == 6 else row for row in found], columns=COLUMNS)


def lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.startswith("|")]


def test_similarity_has_intervals_and_marks_missing_values():
    text = markdown.render(
        rows(
            ("ours", "k", "similarity", "clean", "eer", 0.0512, 0.04, 0.0625, 100),
            ("ours", "k", "similarity", "clean", "mean_normalised_rank", 0.02),
            ("ours", "k", "similarity, pooled", "clean", "eer", 0.01),
            ("mfcc", "k", "similarity", "clean", "eer", 0.4),
        ),
        {"xlsr": "weights not available"},
    )
    assert lines(text) == [
        "| encoder | clean | clean, pooled |",
        "| --- | --- | --- |",
        "| ours | 5.1 (4.0–6.2) | 1.0 |",
        "| mfcc | 40.0 | – |",
        "| xlsr | weights not available |  |",
        "| encoder | clean, MNR % |",
        "| --- | --- |",
        "| ours | 2.0 |",
        "| mfcc | – |",
    ]


def test_sets_are_side_by_side_with_the_average_rank():
    found = markdown.domains(
        rows(
            ("ours", "a", "similarity", "clean", "eer", 0.1),
            ("mfcc", "a", "similarity", "clean", "eer", 0.3),
            ("ge2e", "a", "similarity", "clean", "eer", 0.2),
            ("ours", "b", "similarity", "mix", "eer", 0.25),
            ("mfcc", "b", "similarity", "mix", "eer", 0.4),
            ("ge2e", "b", "similarity", "mix", "eer", 0.05),
            ("ours", "b", "similarity", "clean", "eer", 0.9),
        ),
        {"hubert": "weights not available"},
    )
    assert [line for line in found if line.startswith("|")] == [
        "| encoder | a | b | average rank |",
        "| --- | --- | --- | --- |",
        "| ours | 10.0 | 25.0 | 1.50 |",
        "| ge2e | 20.0 | 5.0 | 1.50 |",
        "| mfcc | 30.0 | 40.0 | 3.00 |",
        "| hubert | weights not available |  |  |",
    ]


def test_robustness_has_a_row_for_each_condition():
    text = markdown.render(
        rows(
            ("ours", "k", "similarity", "clean", "eer", 0.1),
            ("ours", "k", "similarity", "clean/mp3_64k", "eer", 0.15),
        ),
        {},
    )
    assert "| clean/mp3_64k | 15.0 |" in lines(text) and "| clean | 10.0 |" in lines(text)


@pytest.mark.parametrize(
    ("metric", "value", "expected"),
    [("eer", 0.123, "12.3"), ("bcubed_f1", 0.876, "0.88"), ("n_clusters", 7.0, "7"), ("min_dcf", 0.5, "0.50")],
)
def test_cells_have_their_unit(metric, value, expected):
    row = pd.Series({"metric": metric, "value": value, "low": NAN, "high": NAN})
    assert markdown.cell(row) == expected


def test_every_task_has_its_table():
    text = markdown.render(
        rows(
            ("ours", "k", "identification", "clean", "probe_top1", 0.9),
            ("ours", "k", "retrieval", "clean", "recall_at_1", 0.8),
            ("ours", "k", "clusters", "clean", "bcubed_f1", 0.7),
            ("ours", "k", "scores, raw", "clean", "eer", 0.2),
            ("ours", "k", "scores, calibrated", "clean", "ece", 0.05),
        ),
        {},
    )
    for heading in ("Identification", "Retrieval", "Clusters", "Scores"):
        assert heading in text
    assert "| ours | 20.0 | 5.0 |" in lines(text)
