"""Separate: the isolated vocals of each track, as FLAC, and how much of the track is sung.

Vocals are written mono, 44.1 kHz, 16 bit, a quarter of the size of stereo with 32 bit: lead vocals are in the middle,
all later stages use mono, and a separator's residue is far above 16-bit noise. A FLAC file appears under its final name
complete or not at all, and contains its row of `vocals/` in a comment; so a track whose row was not written is not
separated again. Instrumentals have a row and no file.

With `separate.excerpts`, only excerpts of a longer track are decoded and separated, each by itself; between them the
file is silent. If nobody sings in the excerpts, the whole track is separated after all.

Tracks are decoded in advance (in a separate process) and encoded in the background, and segments of several tracks
share a call of the network. Memory is that of a few segments, however long the tracks are.
"""

import contextlib
import functools
import itertools
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import torch

from encoder.allocator import keep_freed_memory
from pipeline import separators
from pipeline.sections import ExcerptsConfig, SeparateConfig, fingerprint
from pipeline.separators import Level, Piece
from pipeline.sound.decoder import Decoder
from pipeline.sound.excerpt import Excerpt, planned
from pipeline.sound.overlap import Behind, ahead
from pipeline.sound.vocals_file import VocalsFile, read_row, vocals_name
from pipeline.store import tables
from pipeline.store.errors import Problem
from pipeline.store.ledger import Ledger
from pipeline.store.spool import spooled
from pipeline.store.workspace import Workspace

BLOCKS_AHEAD = 6  # of 10 s
WRITES_BEHIND = 16


def pending(workspace: Workspace) -> tuple[pa.Table, int]:
    """Return the tracks that have neither vocals nor a failure yet, and the number of those that have.

    Columns: track_id, uri, duration_s, and `found`: whether there is a file of vocals whose row was not written.
    """
    tracks = tables.read_arrow(workspace, "tracks", ["track_id", "uri", "duration_s"]).sort_by("track_id")
    todo, done = tables.unsettled(workspace, tracks, "vocals", "separate")
    there = workspace.list_all("vocals_audio") if len(todo) else {}
    found = [vocals_name(track_id) in there for track_id in todo["track_id"].to_pylist()]
    return todo.append_column("found", pa.array(found, pa.bool_())), done


class SeparateWorker:
    """Separate tracks with one network that stays on its device; the module's docstring describes the files."""

    def __init__(self, workspace: str, config: SeparateConfig):
        keep_freed_memory()
        self.workspace = Workspace(workspace)
        self.config = config
        self.fingerprint = fingerprint(config)
        self.separator = separators.load(config.separator, separators.best_device(), config.precision)
        self.decoder = Decoder()

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Separate a batch of rows (see `pending`) and return their outcomes (see `Ledger.commit`)."""
        ledger = Ledger(self.workspace, "separate", "vocals")
        tracks = ledger.survivors(batch.to_pylist(), "track_id")
        done = [row for track in tracks if (ledger.careful or track.get("found", True)) and (row := self._found(track))]
        for row in done:
            with ledger.item(row["track_id"]):
                pass
        found = {row["track_id"] for row in done}
        todo = [track for track in tracks if track["track_id"] not in found]
        # After a worker has died, tracks are separated one by one, so that only the one that kills a worker fails.
        for group in [[track] for track in todo] if ledger.careful else [todo]:
            with _Group(self, ledger) as work:
                work.separate(group)
                done += work.rows
        for row in done:
            if row["has_vocals"]:
                ledger.add(**row)
        return ledger.commit()

    def _found(self, track: dict[str, Any]) -> dict[str, Any] | None:
        """Return the row of a track that was separated before its batch could be committed."""
        part = instrumental_part(track["track_id"])
        if self.workspace.exists(tables.waiting_name("vocals", part)):
            return {"track_id": track["track_id"], "has_vocals": False}
        return read_row(self.workspace, track["track_id"], self.fingerprint)


def instrumental_part(track_id: str) -> str:
    """Return the name of the part with an instrumental's row, which is written at once since no file records it."""
    return f"instrumental-{track_id}"


@dataclass(frozen=True)
class _Start:
    """The beginning of one of a track's excerpts."""

    track: dict[str, Any]
    level: Level | None
    excerpts: list[Excerpt]
    number: int = 0


@dataclass(frozen=True)
class _End:
    error: Exception | None = None


_Item = tuple[dict[str, Any], contextlib.ExitStack, dict[str, Any]]  # a track, its open item in the ledger, the outcome


class _Group:
    """Tracks that are separated together: decoded in advance, encoded in the background."""

    def __init__(self, worker: SeparateWorker, ledger: Ledger):
        self.worker, self.ledger = worker, ledger
        self.rows: list[dict[str, Any]] = []
        self.items: dict[str, _Item] = {}
        self.open: dict[str, VocalsFile] = {}
        self.unclear: list[dict[str, Any]] = []
        self.behind = Behind(WRITES_BEHIND)
        self.folder = (
            Path(tempfile.gettempdir() if worker.workspace.remote else worker.workspace.path("_in_work/separate"))
            / f"audio-{uuid.uuid4().hex}"
        )

    def __enter__(self) -> "_Group":
        os.makedirs(self.folder, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.behind.close()
        for file in self.open.values():
            file.discard()
        shutil.rmtree(self.folder, ignore_errors=True)

    def separate(self, tracks: list[dict[str, Any]]) -> None:
        """Separate the tracks; their outcomes are in the ledger and their rows in `rows`."""
        self._hear(tracks, self.worker.config.excerpts)
        self._hear(self.unclear, None)

    def _hear(self, tracks: list[dict[str, Any]], config: ExcerptsConfig | None) -> None:
        with contextlib.closing(ahead(self._events(tracks, config), BLOCKS_AHEAD)) as events:
            for piece in separators.separate_tracks(self.worker.separator, self._sources(events)):
                self._take(piece)
        for key in list(self.open):
            self._settle(key)

    def _events(self, tracks: list[dict[str, Any]], config: ExcerptsConfig | None) -> Iterator[Any]:
        """Yield the `_Start` of each track's excerpts, its blocks and its `_End`; runs in advance, in a thread."""
        separator, decoder = self.worker.separator, self.worker.decoder
        for track, copies in spooled(tracks, lambda track: [track["uri"]]):
            excerpts = planned(track.get("duration_s"), config)
            try:
                decode = functools.partial(
                    decoder.blocks, copies[track["uri"]], separator.sample_rate_hz, separator.channels
                )
                heard = itertools.chain.from_iterable(map(decode, excerpts))
                level = Level.of(map(torch.from_numpy, heard)) if separator.needs_level else None
            except Exception as error:
                yield _Start(track, Level(0.0, 1.0), excerpts)
                yield _End(error)
                continue
            for number, excerpt in enumerate(excerpts):
                yield _Start(track, level, excerpts, number)
                try:
                    yield from decode(excerpt)
                except Exception as error:
                    yield _End(error)
                    break
                yield _End()

    def _sources(self, events: Iterator[Any]) -> Iterator[tuple[tuple[str, int], Level | None, Iterator[torch.Tensor]]]:
        for event in events:
            if not isinstance(event, _Start):
                continue
            key = event.track["track_id"]
            if event.number == 0:
                self._open(event)
            if key in self.open:  # else an earlier excerpt has failed
                yield (key, event.number), event.level, self._blocks(self.open[key], event.number, events)

    def _open(self, start: _Start) -> None:
        key, uri = start.track["track_id"], start.track["uri"]
        if key not in self.items:
            item = contextlib.ExitStack()
            outcome = item.enter_context(self.ledger.item(key, track_id=key, uri=uri))
            self.items[key] = start.track, item, outcome
        path, rate = self.folder / f"{key}.flac", self.worker.separator.sample_rate_hz
        self.open[key] = VocalsFile(path, rate, start.excerpts, start.track.get("duration_s"))

    def _blocks(self, file: VocalsFile, number: int, events: Iterator[Any]) -> Iterator[torch.Tensor]:
        for event in events:
            if isinstance(event, _End):
                if event.error:
                    raise event.error
                if number == len(file.excerpts) - 1:
                    file.check_mix(self.worker.config.min_s)
                return
            file.meter.add_mix(event.mean(axis=0))
            yield torch.from_numpy(event)

    def _take(self, piece: Piece) -> None:
        """Handle a piece of a track's vocals, or its end, from the separator."""
        key, number = cast(tuple[str, int], piece.key)
        file = self.open.get(key)
        if file is None:  # another excerpt has failed
            return
        if piece.error is not None:
            self._settle(key, piece.error)
        elif piece.vocals is not None:
            mono = piece.vocals.mean(0).numpy()
            file.meter.add_vocals(mono)
            file.writes.append(self.behind.do(file.write, mono, file.excerpts[number]))
        elif number == len(file.excerpts) - 1:
            file.closing = True
            file.writes.append(self.behind.do(self._publish, key, file, list(file.writes)))
            for ended in [key for key, file in self.open.items() if file.closing and file.writes[-1].done()]:
                self._settle(ended)

    def _publish(self, key: str, file: VocalsFile, writes: list[Future]) -> None:
        """Finish a track's file and publish it, or write an instrumental's row; runs in the background."""
        for write in writes:
            write.result()  # a file that could not be written completely is a failure
        workspace, separator = self.worker.workspace, self.worker.separator
        row = file.row(key, separator.name)
        if row["has_vocals"]:
            row["vocals_uri"] = workspace.uri(vocals_name(key))
            file.finish(row, self.worker.fingerprint)
            workspace.put_file(file.path, vocals_name(key))
        elif file.whole:
            file.discard()
            tables.append(workspace, "vocals", [row], instrumental_part(key))
        else:
            raise Problem("silent", "nobody sings in the excerpts")
        self.rows.append(row)

    def _settle(self, key: str, error: Exception | None = None) -> None:
        """End a track in the ledger, with its error if there is one."""
        file = self.open.pop(key)
        track, item, outcome = self.items.pop(key)
        outcome["audio_s"] = file.meter.heard_s
        errors = [error, *(write.exception() for write in file.writes)]
        file.discard()
        found = next((each for each in errors if each is not None), None)
        if isinstance(found, Problem) and found.kind == "silent" and not file.whole:
            self.items[key] = track, item, outcome  # it ends after it has been separated whole
            self.unclear.append(track)
            return
        with item:
            if found is not None:
                raise found
