"""Scan: find the audio files of a catalogue, and read their format and tags.

A catalogue is a folder with its subfolders, a glob, a single file, or a manifest (see `manifest`), whose artist, title
and album replace the file's own. Each may be local or on an object store.

`files/` has a row per file with the file's own tags, `tracks/` a row per distinct recording: a file that was moved,
renamed or tagged again keeps its `track_id`, and duplicates are one track with `n_files` above 1. Both tables describe
the present catalogue: files that were removed or replaced are dropped, but what was computed from a recording is kept
in case it returns. Each scan writes a manifest's tags into `tracks/`, so they may change at any time.
"""

import collections
import fnmatch
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.fs as pafs

from pipeline.sound.decoder import Decoder
from pipeline.stages.manifest import TAG_COLUMNS, Listed, read_manifest
from pipeline.store import tables
from pipeline.store.errors import ConfigError, Problem
from pipeline.store.ledger import Ledger
from pipeline.store.locations import open_filesystem, uri_of
from pipeline.store.schemas import TIME
from pipeline.store.spool import spooled
from pipeline.store.walk import UNREAD, Entry, walk
from pipeline.store.workspace import Workspace

MANIFEST_SUFFIXES = {".csv", ".tsv", ".parquet"}
LISTING = pa.schema(
    [
        ("key", pa.string()),
        ("uri", pa.string()),
        ("size_bytes", pa.int64()),
        ("modified_at", TIME),
        ("error", pa.string()),
        ("message", pa.string()),
        *((tag, pa.string()) for tag in TAG_COLUMNS),
    ]
)
VERSION = ("uri", "size_bytes", "modified_at")
EPOCH = datetime.fromtimestamp(0, UTC)
ENDING = re.compile(r"\.[a-z0-9]{1,8}")
GLOB_SIGN = re.compile(r"[*?[]")
SHOWN_ENDINGS = 12


def list_catalogue(catalogue: str, suffixes: tuple[str, ...]) -> tuple[pa.Table, collections.Counter[str]]:
    """Find the files of a catalogue.

    Returns:
        A row per file: `key` (uri, size and time), `uri`, `size_bytes`, `modified_at`, manifest tags, and `error` and
        `message` if it is already known that it cannot be read; and how many files were skipped, by ending.

    Raises:
        ConfigError: there are no audio files, or a manifest has no column of URIs.
    """
    fs, path = open_filesystem(catalogue)
    info = fs.get_file_info(path)
    passed: collections.Counter[str] = collections.Counter()
    if info.type == pafs.FileType.File and PurePosixPath(path).suffix.lower() in MANIFEST_SUFFIXES:
        rows = [_row(file.uri, file) | file.tags for file in read_manifest(catalogue)]
    elif info.type == pafs.FileType.File:
        rows = [_row(uri_of(catalogue, info.path), Entry(info.path, info.size, info.mtime_ns))]
    elif info.type == pafs.FileType.Directory:
        walked = walk(fs, path, passed)
        rows = [_row(uri_of(catalogue, found.path), found) for found in _audio(walked, suffixes, passed)]
    elif (sign := GLOB_SIGN.search(path)) and _is_folder(fs, fixed := path[: sign.start()].rpartition("/")[0]):
        fitting = (found for found in walk(fs, fixed, passed) if _fits(found, path))
        rows = [_row(uri_of(catalogue, found.path), found) for found in _audio(fitting, suffixes, passed)]
    else:
        raise ConfigError(f"catalogue: there is no file or folder {catalogue}")
    if not rows:
        raise ConfigError(
            f"catalogue: no audio files in {catalogue} (looked for {', '.join(suffixes)}"
            + (f"; {told})" if (told := describe(passed)) else ")")
        )
    return pa.Table.from_pylist(sorted(rows, key=lambda row: row["uri"]), schema=LISTING), passed


def _is_folder(fs: pafs.FileSystem, path: str) -> bool:
    return fs.get_file_info(path).type == pafs.FileType.Directory


def _fits(found: Entry, pattern: str) -> bool:
    """Return whether a glob matches a file, or may match files in a folder that cannot be read."""
    inside = found.path + "/"
    return fnmatch.fnmatch(found.path, pattern) or (
        found.error in UNREAD and any(fnmatch.fnmatch(inside, pattern[:n]) for n in range(len(pattern)))
    )


def describe(passed: collections.Counter[str]) -> str:
    """Return in words what was skipped, the most frequent endings first; "" if nothing was."""
    most = passed.most_common(SHOWN_ENDINGS)
    rest = passed.total() - sum(n for _, n in most)
    return (
        (
            f"passed over {passed.total()}: "
            + ", ".join(f"{ending} {n}" for ending, n in most)
            + (f", other endings {rest}" if rest else "")
        )
        if passed
        else ""
    )


def _audio(found: Iterable[Entry], suffixes: tuple[str, ...], passed: collections.Counter[str]) -> Iterator[Entry]:
    """Yield files with one of the endings and everything that could not be examined; count the others by ending."""
    for entry in found:
        suffix = PurePosixPath(entry.path).suffix.lower()
        if suffix in suffixes or entry.size_bytes is None:
            yield entry
        else:
            passed[suffix if ENDING.fullmatch(suffix) else "no ending"] += 1


def _row(uri: str, found: Entry | Listed) -> dict:
    """Return a row of the listing."""
    facts = [found.size_bytes, found.mtime_ns, found.error, found.message]
    modified = None if found.mtime_ns is None else EPOCH + timedelta(microseconds=found.mtime_ns // 1000)
    return {
        "key": "|".join([uri, *(str(fact) for fact in facts if fact is not None)]),
        "uri": uri,
        "size_bytes": found.size_bytes,
        "modified_at": modified,
        "error": found.error,
        "message": found.message,
    }


def pending(workspace: Workspace, listing: pa.Table) -> pa.Table:
    """Return the listed files that were not scanned yet, or have changed since then."""
    known = set(_versions(tables.read_arrow(workspace, "files", VERSION)))
    failed = tables.failed_keys(workspace, "scan")
    new = [
        key not in failed and version not in known
        for key, version in zip(listing["key"].to_pylist(), _versions(listing), strict=True)
    ]
    return listing.filter(pa.array(new, pa.bool_()))


def _versions(rows: pa.Table) -> Iterator[tuple]:
    """Yield for each row the values that identify a file's present content."""
    return zip(*(rows[name].to_pylist() for name in VERSION), strict=True)


class ScanWorker:
    """Probe listed files and write their rows of `files/`."""

    def __init__(self, workspace: str):
        self.workspace = Workspace(workspace)
        self.decoder = Decoder()

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Scan a batch of `list_catalogue` rows and return its outcomes (see `Ledger.commit`)."""
        ledger = Ledger(self.workspace, "scan", "files")
        for row, copies in spooled(ledger.survivors(batch.to_pylist(), "key"), lambda row: [row["uri"]]):
            with ledger.item(row["key"], uri=row["uri"]) as outcome:
                if row["error"]:
                    raise Problem(row["error"], row["message"])
                found = self.decoder.probe(copies[row["uri"]])
                outcome["audio_s"] = found.duration_s
                tags = {tag: found.tags.get(tag) for tag in TAG_COLUMNS}
                ledger.add(
                    uri=row["uri"],
                    track_id=found.track_id,
                    size_bytes=row["size_bytes"],
                    modified_at=row["modified_at"],
                    duration_s=found.duration_s,
                    sample_rate_hz=found.sample_rate_hz,
                    channels=found.channels,
                    codec=found.codec,
                    note=found.note,
                    **tags,
                )
        return ledger.commit()


def forget_absent(workspace: Workspace, listing: pa.Table) -> int:
    """Drop files that are no longer in the listing from `files/` and `failures/`, and return how many there were."""
    there = set(_versions(listing))

    def is_there(part: pa.Table) -> np.ndarray:
        return np.array([version in there for version in _versions(part)], bool)

    gone = tables.keep(workspace, "files", is_there)
    keys, track_ids = set(listing["key"].to_pylist()), tables.keys(workspace, "files", "track_id")

    def still_counts(part: pa.Table) -> np.ndarray:
        rows = zip(*(part[name].to_pylist() for name in ("stage", "key", "track_id")), strict=True)
        return np.array(
            [
                key in keys if stage == "scan" else track_id is None or track_id in track_ids
                for stage, key, track_id in rows
            ],
            bool,
        )

    tables.keep(workspace, "failures", still_counts)
    return gone


def derive_tracks(workspace: Workspace, listing: pa.Table) -> pd.DataFrame:
    """Make `tracks/` from `files/`: a row per recording, with the first of its files by name.

    Args:
        workspace: with the tables.
        listing: from `list_catalogue`; its artist, title and album replace the file's own.
    """
    files = tables.read(workspace, "files").drop_duplicates("uri").sort_values("uri")
    tracks = files.drop_duplicates("track_id").drop(columns=["size_bytes", "modified_at"])
    listed = listing.select(["uri", *TAG_COLUMNS]).to_pandas().drop_duplicates("uri").set_index("uri")
    for tag in TAG_COLUMNS:
        tracks[tag] = tracks["uri"].map(listed[tag]).combine_first(tracks[tag])
    counts = files.groupby("track_id").size()
    tracks = tracks.assign(n_files=tracks["track_id"].map(counts).astype("int32")).reset_index(drop=True)
    tables.replace(workspace, "tracks", tracks)
    return tracks
