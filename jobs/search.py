"""Find the tracks whose voice is most similar to that of a track, of any audio file, or of a vocalist.

python -m jobs.search WORKSPACE --like TRACK_ID_OR_FILE [-k 10] [--csv | --json]
python -m jobs.search WORKSPACE --vocalist NAME [-k 10]
python -m jobs.search WORKSPACE --batch FILE [-k 10]        one TRACK_ID_OR_FILE a line
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from jobs import engine
from pipeline.stages import search
from pipeline.store.errors import ConfigError
from pipeline.store.text import cell, visible
from pipeline.store.workspace import Workspace

WIDTHS = {"question": 40, "vocalist": 24, "artist": 24, "title": 30, "uri": 60}


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, search, print, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m jobs.search", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("workspace", help="folder, s3://… or gs://… of a finished run")
    question = parser.add_mutually_exclusive_group(required=True)
    question.add_argument("--like", metavar="TRACK", help="a track_id, a path of the catalogue, or any audio file")
    question.add_argument("--vocalist", metavar="NAME", help="a known name or voice-0001: others that sound like it")
    question.add_argument("--batch", metavar="FILE", help="a text file with such a track on each line; - for stdin")
    parser.add_argument("-k", type=_positive, default=10, help="how many tracks (10)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_const", const="csv", dest="form", help="print CSV")
    form.add_argument("--json", action="store_const", const="json", dest="form", help="print JSON")
    arguments = parser.parse_args(argv)
    return engine.guarded(lambda: _search(arguments))


def _search(arguments: argparse.Namespace) -> int:
    voices = search.Search(Workspace(arguments.workspace))
    if arguments.batch:
        return _batch(voices, arguments)
    found = (
        voices.like(arguments.like, arguments.k)
        if arguments.like
        else voices.by_vocalist(arguments.vocalist, arguments.k)
    )
    print(render(found, arguments.form), flush=True)
    return 0


def _batch(voices: search.Search, arguments: argparse.Namespace) -> int:
    """Answer each line of a file; return 1 and print the reason if one could not be answered, else 0."""
    answers, failed = [], 0
    for number, line in enumerate(_lines(arguments.batch), 1):
        if not (track := line.strip()):
            continue
        try:
            found = voices.like(track, arguments.k)
        except ConfigError as error:
            print(visible(f"error: line {number}: {error}"), file=sys.stderr, flush=True)
            failed += 1
            continue
        answers.append(found.assign(question=track)[["question", *found.columns]])
    found = pd.concat(answers) if answers else pd.DataFrame(columns=["question", *search.COLUMNS])
    print(render(found, arguments.form), flush=True)
    return 1 if failed else 0


def _lines(path: str) -> list[str]:
    """Return the lines of a text file, or of standard input for `-`.

    Raises:
        ConfigError: the file is missing or not text.
    """
    if path == "-":
        return sys.stdin.readlines()
    try:
        return Path(path).read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--batch {path}: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}") from error


def render(found: pd.DataFrame, form: str | None) -> str:
    """Return the answer as CSV that is safe in a spreadsheet, as JSON, or as a table with long texts shortened."""
    if form == "csv":
        return found.map(cell).to_csv(index=False).rstrip("\n")
    if form == "json":
        return json.dumps(found.to_dict("records"), ensure_ascii=False, indent=1)
    shown = found.drop(columns="track_id").astype(str).map(visible)
    shown["score"] = [f"{score:.3f}" for score in found["score"]]
    for column in {"question", "uri"} & set(shown):
        shown[column] = [_cut_left(text, WIDTHS[column]) for text in shown[column]]
    for column in ("vocalist", "artist", "title"):
        width = WIDTHS[column]
        shown[column] = [text if len(text) <= width else text[: width - 1] + "…" for text in shown[column]]
    widths = {column: max([len(column), *shown[column].str.len()]) for column in shown}
    rows = [list(shown.columns), *shown.to_numpy().tolist()]
    return "\n".join(
        "  ".join(
            text.rjust(width) if column in ("rank", "score") else text.ljust(width)
            for text, (column, width) in zip(row, widths.items(), strict=True)
        ).rstrip()
        for row in rows
    )


def _cut_left(text: str, width: int) -> str:
    return text if len(text) <= width else "…" + text[-(width - 1) :]


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
