"""Known names: a list of who sings on a few tracks.

It is a CSV of any dialect, or Parquet, with a column `vocalist` and one that identifies the track: `track`, `track_id`,
`path`, `uri` or `file` (see `pipeline.people.tracks` for what it may hold). Names that differ only in spelling are one
person's.
"""

from dataclasses import dataclass

import pandas as pd

from pipeline.people.names import display, is_nobody, is_voice, key, written
from pipeline.people.tracks import candidates, find_tracks
from pipeline.store import sheet
from pipeline.store.errors import ConfigError
from pipeline.store.text import clean

TRACK_COLUMNS = ("track", "track_id", "path", "uri", "file")
TRACK_ID = "[0-9a-f]{32}"
SHOWN = 10  # examples in a remark about single rows


@dataclass(frozen=True)
class KnownNames:
    """The usable rows of a list (`track` as written, `vocalist`), and remarks about the others."""

    rows: pd.DataFrame
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Known:
    """The vocalist of each known track that the catalogue holds, and remarks about what cannot be used."""

    vocalists: dict[str, str]  # track_id -> name
    remarks: tuple[str, ...]


def read_known(path: str) -> KnownNames:
    """Read a list of known names.

    Raises:
        ConfigError: the list cannot be read, lacks a column, or holds a name that Vocatlas itself gives.
    """
    table = sheet.read(path, "known names")
    column = table.column(TRACK_COLUMNS)
    if column is None or "vocalist" not in table.columns:
        raise ConfigError(
            f"the known names {path} need the columns track and vocalist; "
            f"there are {clean(', '.join(table.columns), 200)}"
        )
    rows, faults, own, unnamed = [], [], [], 0
    for record in table.records:
        if isinstance(record, sheet.Fault):
            faults.append(f"line {record.line} ({clean(record.row, 60)}): {record.message}")
            continue
        track, vocalist = record.cells[column].strip(), clean(record.cells["vocalist"])
        if not track or not vocalist:
            unnamed += bool(track or vocalist)
        elif is_voice(vocalist):
            own.append(f"line {record.line} ({vocalist})")
        elif is_nobody(vocalist):
            faults.append(f"line {record.line}: {vocalist} is nobody's name")
        else:
            rows.append((track, vocalist))
    if own:
        raise ConfigError(
            f"the known names {path} give names that Vocatlas itself gives: {_some(own)}. "
            "Write the vocalist's real name there, or leave the row out."
        )
    frame, remarks = _one_form(pd.DataFrame(rows, columns=["track", "vocalist"]))
    if unnamed:
        remarks.append(f"{unnamed} rows of the known names give no track or no vocalist")
    if faults:
        remarks.append(f"{len(faults)} rows of the known names cannot be used: {_some(faults)}")
    return KnownNames(frame, tuple(remarks))


def known_uris(path: str | None) -> set[str]:
    """Return the URIs that the paths in a list of known names may stand for."""
    if path is None:
        return set()
    return {uri for track in read_known(path).rows["track"] for uri in candidates(track, path)}


def match_known(known: KnownNames, path: str, files: pd.DataFrame) -> Known:
    """Find the catalogue's tracks for the known names of the list at `path`.

    Args:
        files: `track_id` and `uri` of every file of the catalogue, duplicates too.
    """
    names: dict[str, set[str]] = {}
    as_written: dict[str, str] = {}
    missing, ambiguous = [], []
    found = find_tracks(list(known.rows["track"]), files, path)
    for track, vocalist, fit in zip(known.rows["track"], known.rows["vocalist"], found, strict=True):
        if not fit.track_ids:
            missing.append(clean(track) + (f" (the nearest is {clean(fit.nearest)})" if fit.nearest else ""))
        elif len(fit.track_ids) > 1:
            ambiguous.append(clean(track))
        else:
            (track_id,) = fit.track_ids
            names.setdefault(track_id, set()).add(vocalist)
            as_written.setdefault(track_id, clean(track))
    contrary = [
        f"{' and '.join(sorted(given))} for {as_written[id_]}" for id_, given in names.items() if len(given) > 1
    ]
    remarks = [
        f"{len(rows)} known tracks {what}: {_some(rows)}"
        for what, rows in (
            ("match no track of the catalogue", missing),
            ("fit several tracks", ambiguous),
            ("have several names", contrary),
        )
        if rows
    ]
    sure = {track_id: next(iter(given)) for track_id, given in names.items() if len(given) == 1}
    return Known(sure, known.remarks + tuple(remarks))


def unmatched(known: KnownNames, path: str, uris: list[str]) -> tuple[str, ...]:
    """Return remarks that are possible before the files are read, when track ids are not known yet."""
    by_path = known.rows[~known.rows["track"].str.fullmatch(TRACK_ID)]
    return match_known(KnownNames(by_path, known.remarks), path, pd.DataFrame({"track_id": uris, "uri": uris})).remarks


def _one_form(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows with one spelling for each person, and a remark on each person who had several."""
    forms = written(rows["vocalist"])
    remarks = []
    for person, names in rows["vocalist"].map(display).groupby(rows["vocalist"].map(key), sort=False):
        others = [name for name in dict.fromkeys(names) if name != forms[str(person)]]
        if others:
            remarks.append(
                f"{forms[str(person)]} is also written {', '.join(others)} in the known names: taken for one person"
            )
    return rows.assign(vocalist=rows["vocalist"].map(key).map(forms)), remarks


def _some(rows: list[str]) -> str:
    return "; ".join(rows[:SHOWN]) + ("; …" if len(rows) > SHOWN else "")
