"""The rows of `evaluation/` as Markdown tables."""

from collections.abc import Sequence

import pandas as pd

from pipeline.evaluate.conditions import PLAIN

NAMES = {
    "eer": "EER %",
    "min_dcf": "minDCF",
    "mean_normalised_rank": "MNR %",
    "probe_top1": "probe top-1 %",
    "probe_top5": "probe top-5 %",
    "centroid_top1": "centroid top-1 %",
    "centroid_top5": "centroid top-5 %",
    "named_right": "right among the named %",
    "named": "named among the known %",
    "strangers_named": "strangers named %",
    "worst_bin": "largest error of a probability bin %",
    "dir_at_1pct_false_alarms": "DIR at 1 % FA",
    "recall_at_1": "recall@1 %",
    "recall_at_5": "recall@5 %",
    "mean_average_precision": "MAP %",
    "chance_recall_at_1": "chance recall@1 %",
    "bcubed_precision": "B-cubed P",
    "bcubed_recall": "B-cubed R",
    "bcubed_f1": "B-cubed F1",
    "ari": "ARI",
    "nmi": "NMI",
    "purity": "purity",
    "n_clusters": "clusters",
    "n_truth": "singers",
    "n_noise": "in no cluster",
    "ece": "calibration error %",
    "brier": "Brier",
    "cllr": "Cllr bits",
}
COUNTS = {"n_clusters", "n_truth", "n_noise"}
PARTS = {"min_dcf", "bcubed_precision", "bcubed_recall", "bcubed_f1", "ari", "nmi", "purity", "brier", "cllr"}


def render(rows: pd.DataFrame, unavailable: dict[str, str]) -> str:
    """Return all tables of an evaluation; `unavailable` says why a requested encoder is missing from them."""
    parts = []
    if rows["set"].nunique() > 1:
        parts += domains(rows, unavailable)
    for name, of_set in rows.groupby("set", sort=False):
        parts += [f"### {name}", "", *_similarity(of_set, unavailable), *_robustness(of_set)]
        for task, title in (
            ("identification", "Identification, folds split by song"),
            ("names", "Names that tag gives, half of the singers known by their training songs"),
            ("retrieval", "Retrieval of the same singer's other recordings"),
            ("clusters", "Clusters of pooled recordings"),
        ):
            parts += _by_condition(of_set[of_set["task"] == task], title, unavailable)
        parts += _scores(of_set)
    if not parts:
        parts = ["Nothing could be measured; see failures/.", ""]
    return "\n".join(parts).rstrip() + "\n"


def cell(row: pd.Series) -> str:
    """Return a value with its interval, if it has one."""
    metric = row["metric"]
    if metric in COUNTS:
        return f"{row['value']:.0f}"
    scale, digits = (1, 2) if metric in PARTS else (100, 1)
    text = f"{scale * row['value']:.{digits}f}"
    if pd.notna(row["low"]):
        text += f" ({scale * row['low']:.{digits}f}–{scale * row['high']:.{digits}f})"
    return text


def table(header: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table, and an empty line."""
    lines = [header, ["---"] * len(header), *body]
    return ["| " + " | ".join(line) + " |" for line in lines] + [""]


def _pivot(
    rows: pd.DataFrame, columns: Sequence[tuple[str, pd.Series]], encoders: Sequence[str], unavailable: dict[str, str]
) -> list[str]:
    """Return a table with a row per encoder and a column for each of `columns` (title, mask over `rows`)."""
    body = []
    for encoder in encoders:
        line = [encoder]
        for _, mask in columns:
            found = rows[mask & (rows["encoder"] == encoder)]
            line.append(cell(found.iloc[0]) if len(found) else "–")
        body.append(line)
    body += [[name, why, *[""] * (len(columns) - 1)] for name, why in unavailable.items()]
    return table(["encoder", *(title for title, _ in columns)], body)


def _similarity(rows: pd.DataFrame, unavailable: dict[str, str]) -> list[str]:
    """Return tables of EER by condition, for crops and pooled, and then of the other measures of crops."""
    rows = rows[rows["task"].str.startswith("similarity") & rows["condition"].isin(PLAIN)]
    if rows.empty:
        return []
    encoders = list(rows["encoder"].unique())
    rates, others = [], []
    for condition in rows["condition"].unique():
        here = rows["condition"] == condition
        for task in rows["task"].unique():
            title = condition + task.removeprefix("similarity")
            rates.append((title, here & (rows["task"] == task) & (rows["metric"] == "eer")))
        for metric in ("mean_normalised_rank", "min_dcf"):
            mask = here & (rows["task"] == "similarity") & (rows["metric"] == metric)
            if mask.any():
                others.append((f"{condition}, {NAMES[metric]}", mask))
    lines = ["Singer similarity, EER % (95 % interval over singers)", "", *_pivot(rows, rates, encoders, unavailable)]
    if others:
        lines += ["Mean normalised rank, and minDCF", "", *_pivot(rows, others, encoders, {})]
    return lines


def _robustness(rows: pd.DataFrame) -> list[str]:
    rows = rows[(rows["task"] == "similarity") & (rows["metric"] == "eer")]
    changed = [name for name in rows["condition"].unique() if name not in PLAIN]
    if not changed:
        return []
    encoders = list(rows["encoder"].unique())
    plain = [name for name in rows["condition"].unique() if name in PLAIN]
    body = []
    for condition in (*plain, *changed):
        line = [condition]
        for encoder in encoders:
            found = rows[(rows["condition"] == condition) & (rows["encoder"] == encoder)]
            line.append(f"{100 * found['value'].iloc[0]:.1f}" if len(found) else "–")
        body.append(line)
    return ["Robustness: EER % of the same trials", "", *table(["condition", *encoders], body)]


def _by_condition(rows: pd.DataFrame, title: str, unavailable: dict[str, str]) -> list[str]:
    if rows.empty:
        return []
    lines = [title, ""]
    for condition, here in rows.groupby("condition", sort=False):
        columns = [(NAMES.get(metric, metric), here["metric"] == metric) for metric in here["metric"].unique()]
        lines += [f"*{condition}*", "", *_pivot(here, columns, list(here["encoder"].unique()), {})]
    return lines


def _scores(rows: pd.DataFrame) -> list[str]:
    rows = rows[rows["task"].str.startswith("scores")]
    if rows.empty:
        return []
    rows = rows[rows["metric"].isin(["eer", "ece", "cllr"])]
    lines = ["Scores of pooled recordings: EER % by normalisation, and calibration on other singers", ""]
    for condition, here in rows.groupby("condition", sort=False):
        columns = []
        for task, metric in here[["task", "metric"]].drop_duplicates().itertuples(index=False):
            title = task.removeprefix("scores, ") if metric == "eer" else NAMES[metric]
            columns.append((title, (here["task"] == task) & (here["metric"] == metric)))
        lines += [f"*{condition}*", "", *_pivot(here, columns, list(here["encoder"].unique()), {})]
    return lines


def domains(rows: pd.DataFrame, unavailable: dict[str, str]) -> list[str]:
    """Return a table of EER by set: a row per encoder, a column per set under its first condition, and average rank."""
    rows = rows[(rows["task"] == "similarity") & (rows["metric"] == "eer")]
    if rows["set"].nunique() < 2:
        return []
    first = rows.groupby("set", sort=False)["condition"].transform("first")
    rows = rows[rows["condition"] == first]
    values = rows.pivot_table(index="encoder", columns="set", values="value", sort=False)
    average = values.rank(axis=0).mean(axis=1)
    body = []
    for encoder in average.sort_values(kind="stable").index:
        cells = [f"{100 * value:.1f}" if pd.notna(value) else "–" for value in values.loc[encoder]]
        body.append([encoder, *cells, f"{average[encoder]:.2f}"])
    body += [[name, why, *[""] * len(values.columns)] for name, why in unavailable.items()]
    lines = table(["encoder", *map(str, values.columns), "average rank"], body)
    return ["### Sets compared: EER %", "", *lines]
