"""Scan: find the audio files of a catalogue and read what each is.

A catalogue is a folder (searched through), a glob, one file, or a CSV/Parquet manifest with a column `uri`
(or `path`, `file`) and, if it likes, `artist`, `title`, `album`, which then win over the file's own tags. Paths
in a manifest are relative to it. Each may be local or on an object store.

`files/` holds a row per file, `tracks/` a row per distinct recording: a file that was moved, renamed or tagged
again keeps its `track_id`, and a duplicate is seen as one track with `n_files` above 1.
"""

import fnmatch
from collections.abc import Iterator
from datetime import UTC
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from pydantic import Field

from pipeline.frozen import Compute, Frozen
from pipeline.sound import formats
from pipeline.sound.decoder import Decoder
from pipeline.store import tables
from pipeline.store.errors import ConfigError
from pipeline.store.ledger import Ledger
from pipeline.store.workspace import Workspace, is_remote, open_filesystem

if TYPE_CHECKING:
    from pipeline.config import Config

MANIFEST_SUFFIXES = {".csv", ".parquet"}
URI_COLUMNS = ("uri", "path", "file")
TAG_COLUMNS = ("artist", "title", "album")
LISTING = pa.schema([("key", pa.string()), ("uri", pa.string()), ("size_bytes", pa.int64()),
                     ("modified_at", tables.TIME), *((tag, pa.string()) for tag in TAG_COLUMNS)])


class ScanConfig(Frozen):
    """Which files count as audio, and how the reading is spread."""

    suffixes: tuple[str, ...] = Field(tuple(sorted(formats.AUDIO_SUFFIXES)), description="file name endings to take up")
    compute: Compute = Compute(batch=64)


def list_catalogue(catalogue: str, suffixes: tuple[str, ...]) -> pa.Table:
    """Return the catalogue's files: `key` (uri, size and time), `uri`, `size_bytes`, `modified_at` and manifest tags.

    Raises:
        ConfigError: nothing is there, or a manifest has no column of URIs.
    """
    fs, path = open_filesystem(catalogue)
    info = fs.get_file_info(path)
    suffix = PurePosixPath(path).suffix.lower()
    if info.type == pafs.FileType.File and suffix in MANIFEST_SUFFIXES:
        rows = list(_manifest(catalogue, fs, path))
    elif info.type == pafs.FileType.File:
        rows = [_listed(fs, catalogue, info)]
    elif info.type == pafs.FileType.Directory:
        rows = [_listed(fs, catalogue, found) for found in _walk(fs, path)
                if PurePosixPath(found.path).suffix.lower() in suffixes]
    elif any(sign in path for sign in "*?["):
        fixed = path[: min(path.find(sign) for sign in "*?[" if sign in path)].rpartition("/")[0]
        rows = [_listed(fs, catalogue, found) for found in _walk(fs, fixed)
                if fnmatch.fnmatch(found.path, path) and PurePosixPath(found.path).suffix.lower() in suffixes]
    else:
        raise ConfigError(f"catalogue: there is no file or folder {catalogue}")
    if not rows:
        raise ConfigError(f"catalogue: no audio files in {catalogue} (looked for {', '.join(suffixes)})")
    return pa.Table.from_pylist(sorted(rows, key=lambda row: row["uri"]), schema=LISTING)


def _walk(fs: pafs.FileSystem, folder: str) -> list[pafs.FileInfo]:
    selector = pafs.FileSelector(folder, recursive=True, allow_not_found=True)
    return [info for info in fs.get_file_info(selector) if info.type == pafs.FileType.File
            and not info.base_name.startswith(".")]


def _listed(fs: pafs.FileSystem, catalogue: str, info: pafs.FileInfo) -> dict:
    scheme = catalogue.partition("://")[0] + "://" if is_remote(catalogue) else ""
    uri = f"{scheme}{info.path}"
    if info.type != pafs.FileType.File:
        return {"key": uri, "uri": uri}
    modified = info.mtime.astimezone(UTC) if info.mtime else None
    return {"key": f"{uri}|{info.size}|{info.mtime_ns}", "uri": uri, "size_bytes": info.size, "modified_at": modified}


def _manifest(catalogue: str, fs: pafs.FileSystem, path: str) -> Iterator[dict]:
    with fs.open_input_file(path) as source:
        read = pq.read_table if path.lower().endswith(".parquet") else pyarrow.csv.read_csv
        frame = read(source).to_pandas()
    column = next((name for name in URI_COLUMNS if name in frame.columns), None)
    if column is None:
        raise ConfigError(f"catalogue: the manifest {catalogue} needs a column uri, path or file; "
                          f"it has {', '.join(map(str, frame.columns))}")
    folder = catalogue.rpartition("/")[0]
    for row in frame.to_dict("records"):
        uri = str(row[column])
        if not is_remote(uri) and not uri.startswith("/"):
            uri = f"{folder}/{uri}" if folder else uri
        item_fs, item_path = open_filesystem(uri)
        tags = {tag: str(row[tag]) for tag in TAG_COLUMNS if tag in row and not pd.isna(row[tag])}
        yield _listed(item_fs, uri, item_fs.get_file_info(item_path)) | tags


def pending(workspace: Workspace, listing: pa.Table) -> pa.Table:
    """Return the listed files that were not scanned before, or have changed since."""
    files = tables.read(workspace, "files", ["uri", "size_bytes", "modified_at"])
    known = set(zip(files["uri"], files["size_bytes"], files["modified_at"], strict=True))
    failed = tables.failed_keys(workspace, "scan")
    frame = listing.select(["key", "uri", "size_bytes", "modified_at"]).to_pandas()
    new = [key not in failed and (uri, size, modified) not in known
           for key, uri, size, modified in frame.itertuples(index=False)]
    return listing.filter(pa.array(new, pa.bool_()))


class ScanWorker:
    """Probe listed files and write their rows of `files/`."""

    def __init__(self, config: "Config"):
        self.workspace = Workspace(config.workspace)
        self.decoder = Decoder()

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Scan a batch of `list_catalogue` rows and return its outcomes (see `Ledger.commit`)."""
        ledger = Ledger(self.workspace, "scan", "files")
        for row in ledger.survivors(batch.to_pylist(), "key"):
            with ledger.item(row["key"], uri=row["uri"]):
                found = self.decoder.probe(row["uri"])
                tags = {tag: row[tag] or found.tags.get(tag) or None for tag in TAG_COLUMNS}
                ledger.add(uri=row["uri"], track_id=found.track_id, size_bytes=row["size_bytes"],
                           modified_at=row["modified_at"], duration_s=found.duration_s,
                           sample_rate_hz=found.sample_rate_hz, channels=found.channels, codec=found.codec,
                           note=found.note, **tags)
        return ledger.commit()


def derive_tracks(workspace: Workspace, listing: pa.Table) -> pd.DataFrame:
    """Make `tracks/` from `files/`: each recording once, at a file of the present listing where there is one."""
    files = tables.read(workspace, "files")
    files = files.sort_values(["uri", "modified_at"]).drop_duplicates("uri", keep="last")
    gone = ~files["uri"].isin(set(listing["uri"].to_pylist()))
    ordered = files.assign(gone=gone).sort_values(["gone", "uri"])
    tracks = ordered.drop_duplicates("track_id").drop(columns=["gone", "size_bytes", "modified_at"])
    # A file that has gone counts only where no present file holds the recording.
    counts = ordered[~ordered["gone"]].groupby("track_id").size()
    tracks = tracks.assign(n_files=tracks["track_id"].map(counts).fillna(0).astype("int32"))
    tracks = tracks.sort_values("uri").reset_index(drop=True)
    tables.replace(workspace, "tracks", tracks)
    return tracks
