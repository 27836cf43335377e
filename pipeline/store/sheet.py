"""Tables that people write: CSV of any dialect, or Parquet. Every value is text, and a bad row is a `Fault`.

Text is UTF-8, UTF-16 or a legacy code page (see `text.decode`), cells are separated by comma, semicolon, tab or bar,
and column names may be in any case. Python's csv gets one record at a time, so that an unclosed quotation mark costs
only its own line and not the rest of the file.
"""

import codecs
import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from pipeline.store import parquet, text
from pipeline.store.errors import ConfigError
from pipeline.store.locations import open_filesystem

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
NO_DELIMITER = "\x1f"
MAX_RECORD_LINES = 20
OTHER_FORMATS = {
    b"PK\x03\x04": "a spreadsheet or a zip archive",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"%PDF": "a PDF",
    b"{": "JSON",
    b"[": "JSON",
    b"#EXTM3U": "a playlist",
    b"<": "a web page or XML",
}


@dataclass(frozen=True)
class Row:
    """A row's cells by column, and the line where it begins, from 1 with the header (in Parquet, its number)."""

    line: int
    cells: dict[str, str]


@dataclass(frozen=True)
class Fault:
    """A row that cannot be used: the line where it begins, its text, and the reason."""

    line: int
    row: str
    message: str


@dataclass(frozen=True)
class Sheet:
    """Column names, stripped and in lower case, and the records in order."""

    columns: tuple[str, ...]
    records: Iterator[Row | Fault]

    def column(self, names: tuple[str, ...]) -> str | None:
        """Return the first of `names` that is a column."""
        return next((name for name in names if name in self.columns), None)


def read(uri: str, what: str) -> Sheet:
    """Open a table according to its content, not its name.

    Raises:
        ConfigError: it is missing, empty, damaged or of another format; the message begins with `what`.
    """
    fs, path = open_filesystem(uri)
    try:
        with fs.open_input_stream(path) as source:
            data = source.read()
        return parse(data)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the {what} {uri}: {error}") from error


def parse(data: bytes) -> Sheet:
    """Read a table from its bytes.

    Raises:
        ValueError: it is empty, damaged or of another format; the message says which.
    """
    if data.startswith(b"PAR1"):
        return _parquet(data)
    for magic, name in OTHER_FORMATS.items():
        if data.lstrip().startswith(magic):
            raise ValueError(f"it is {name}; save it as CSV")
    content = _decode(data)
    if not content.strip():
        raise ValueError("it is empty")
    return _delimited(content)


def _decode(data: bytes) -> str:
    """Return the text of a file in which single lines may have a different encoding from the rest."""
    if data.startswith(text.UTF16_BOMS) or b"\0" in data[:4096]:
        return text.decode([data])[0]
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeError:
        return "".join(text.decode(data.splitlines(keepends=True)))


def _parquet(data: bytes) -> Sheet:
    try:
        table = parquet.read(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"it is a damaged Parquet file ({error})") from error
    columns = tuple(map(_column, table.column_names))
    return Sheet(columns, _parquet_records(table.rename_columns(columns)))


def _parquet_records(table: pa.Table) -> Iterator[Row | Fault]:
    line = 0
    for batch in table.to_batches(max_chunksize=10_000):
        for values in batch.to_pylist():
            line += 1
            nested = [name for name, value in values.items() if isinstance(value, list | dict)]
            if nested:
                yield Fault(line, str(values)[:200], f"{nested[0]} holds a list where one value belongs")
            else:
                yield Row(line, {name: _cell(value) for name, value in values.items()})


def _cell(value: object) -> str:
    if isinstance(value, bytes):
        return text.decode([value])[0]
    if isinstance(value, float) and (math.isnan(value) or value.is_integer()):
        return "" if math.isnan(value) else str(int(value))  # pandas writes 311 as a float if another cell is empty
    return "" if value is None else str(value)


def _column(name: str) -> str:
    return name.strip().casefold()


def _delimited(content: str) -> Sheet:
    lines = [line.rstrip("\r\n") + "\n" for line in io.StringIO(content, newline="")]
    first = next(at for at, line in enumerate(lines) if line.strip())
    delimiter = ""
    if lines[first].lower().startswith("sep=") and len(lines) > first + 1:  # a hint that Excel writes for itself
        delimiter, first = lines[first][4:5], first + 1
    delimiter = delimiter or max(DELIMITERS, key=lines[first].count)
    if delimiter not in lines[first]:
        delimiter = NO_DELIMITER  # a list of one column, whose commas mean nothing
    columns = tuple(map(_column, next(csv.reader([lines[first]], delimiter=delimiter, skipinitialspace=True))))
    return Sheet(columns, _text_records(lines, first + 1, delimiter, columns))


def _text_records(lines: list[str], at: int, delimiter: str, columns: tuple[str, ...]) -> Iterator[Row | Fault]:
    while at < len(lines):
        line = at + 1
        n_lines, cells, fault = _record(lines, at, delimiter) if lines[at].strip() else (1, [], "")
        at += n_lines
        cells = cells[: len(columns)] + [cell for cell in cells[len(columns) :] if cell.strip()]
        if not fault and cells and len(cells) != len(columns):
            fault = f"{len(cells)} fields where the header has {len(columns)}"
            if len(cells) > len(columns):
                fault += f": a {DELIMITERS.get(delimiter, 'delimiter')} within a field needs quotation marks around it"
        if fault:
            yield Fault(line, lines[line - 1].strip()[:200], fault)
        elif cells:
            yield Row(line, dict(zip(reversed(columns), reversed(cells), strict=True)))  # of equal columns the first


def _record(lines: list[str], at: int, delimiter: str) -> tuple[int, list[str], str]:
    """Return the number of lines of the record that begins at a line, its cells, and what is wrong with it."""
    for n_lines in range(1, min(MAX_RECORD_LINES, len(lines) - at) + 1):
        try:
            rows = list(csv.reader(lines[at : at + n_lines], delimiter=delimiter, skipinitialspace=True, strict=True))
        except csv.Error as error:
            if "unexpected end" in str(error):
                continue
            if n_lines == 1:
                return 1, [], str(error)
            break
        return n_lines, rows[0], ""
    return 1, [], "a quotation mark is opened and never closed"
