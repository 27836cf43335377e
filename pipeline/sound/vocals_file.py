"""The FLAC file of a track's vocals, which is measured while it is written and contains its row of `vocals/`."""

import contextlib
import io
import json
import math
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mutagen
import mutagen.flac
import numpy as np
import soundfile

from pipeline.sound.activity import SILENT_DB, Meter
from pipeline.sound.audio import FlacWriter, to_samples
from pipeline.sound.excerpt import WHOLE, Excerpt
from pipeline.store.errors import Problem, WorkspaceError
from pipeline.store.workspace import Workspace

FINGERPRINT, ROW, SIZE = "vocatlas_fingerprint", "vocatlas_row", "vocatlas_bytes"
HEAD_BYTES = 2**16  # at the beginning of a file that hold its comments
SILENCE_S = 10.0  # written at once


def vocals_name(track_id: str) -> str:
    """Return the name in the workspace of a track's vocals; there are 256 folders, so that none gets too big."""
    return f"vocals_audio/{track_id[:2]}/{track_id}.flac"


def read_row(workspace: Workspace, track_id: str, fingerprint: str) -> dict[str, Any] | None:
    """Return the row of a track whose vocals exist, are complete, and were made with the settings of `fingerprint`."""
    name = vocals_name(track_id)
    try:
        with workspace.fs.open_input_file(workspace.path(name)) as source:
            size, head = source.size(), source.read(HEAD_BYTES)
        comments: Any = mutagen.flac.FLAC(fileobj=io.BytesIO(head)).tags or {}
    except (FileNotFoundError, mutagen.MutagenError):
        return None
    if comments.get(FINGERPRINT) != [fingerprint] or comments.get(SIZE) != [_bytes_comment(size)]:
        return None
    return json.loads(comments[ROW][0]) | {"vocals_uri": workspace.uri(name)}


def _bytes_comment(size: int) -> str:
    """Return a file's size as text of fixed length for its comment, so that adding it does not change the size."""
    return f"{size:016d}"


class VocalsFile:
    """A track's vocals while they are written, as mono 16-bit FLAC at a local temporary path.

    There is silence between excerpts, so that times in the file are times in the track.

    Args:
        duration_s: length of the track, if only excerpts of it are separated.
    """

    def __init__(
        self,
        path: Path,
        sample_rate_hz: int,
        excerpts: Sequence[Excerpt] = (WHOLE,),
        duration_s: float | None = None,
    ):
        self.path, self.sample_rate_hz = path, sample_rate_hz
        self.excerpts, self.duration_s = list(excerpts), duration_s
        self.meter = Meter(sample_rate_hz)
        self.writes: list[Future] = []
        self.writer: FlacWriter | None = None
        self.closing = False
        self.n = 0

    @property
    def whole(self) -> bool:
        """Whether the whole track is separated."""
        return self.excerpts == [WHOLE]

    def check_mix(self, min_s: float) -> None:
        """Check, after all of the mix was added, that it is worth separating.

        Raises:
            Problem: `too_short` or `silent`.
        """
        if self.meter.heard_s < max(min_s, 1 / self.sample_rate_hz):
            length_s = math.floor(1000 * self.meter.heard_s) / 1000  # not rounded up to min_s
            raise Problem("too_short", f"{length_s:g} s of audio; separate.min_s requires {min_s:g} s")
        loudest_db = self.meter.loudest_db()
        if loudest_db < SILENT_DB:
            raise Problem(
                "silent",
                "nothing in it is audible"
                + (f": its loudest tenth of a second is at {loudest_db:.0f} dB" if loudest_db > -190 else ""),
            )

    def write(self, mono: np.ndarray, excerpt: Excerpt = WHOLE) -> None:
        """Append the next (n,) samples of an excerpt.

        Raises:
            Problem: `separator`, if they are not finite.
            WorkspaceError: the disk is full or fails; libsndfile does not say which.
        """
        if not np.isfinite(mono).all():
            raise Problem("separator", "the separator gave values that are not numbers (NaN or infinite)")
        with self._disk():
            if self.writer is None:
                self.writer = FlacWriter(self.path, self.sample_rate_hz, 1)
            while (missing := to_samples(excerpt.start_s, self.sample_rate_hz) - self.n) > 0:
                silence = min(missing, to_samples(SILENCE_S, self.sample_rate_hz))
                self.writer.write(np.zeros((1, silence), np.float32))
                self.n += silence
            self.writer.write(mono[None])
            self.n += len(mono)

    def row(self, track_id: str, separator: str) -> dict[str, Any]:
        """Return the track's row of `vocals/`, without the file's final URI."""
        found = asdict(self.meter.measure())
        heard_s = found.pop("heard_s")
        return {
            "track_id": track_id,
            "vocals_uri": None,
            "separator": separator,
            "duration_s": heard_s if self.whole else self.duration_s,
            "sample_rate_hz": self.sample_rate_hz,
            "heard_s": heard_s,
            "excerpts": None if self.whole else [excerpt._asdict() for excerpt in self.excerpts],
            **found,
        }

    def finish(self, row: dict[str, Any], fingerprint: str) -> None:
        """Close the file, check that it is complete, and write its comments.

        Raises:
            WorkspaceError: the disk is full or fails.
        """
        with self._disk():
            assert self.writer is not None
            self.writer.file.close()
            with soundfile.SoundFile(str(self.path)) as file:
                file.seek(self.n - 1)
                if len(file.read(2)) != 1:
                    raise soundfile.SoundFileRuntimeError("the file is incomplete")
            tagged = mutagen.flac.FLAC(self.path)
            tagged[FINGERPRINT], tagged[ROW], tagged[SIZE] = fingerprint, json.dumps(row), _bytes_comment(0)
            tagged.save()
            tagged[SIZE] = _bytes_comment(self.path.stat().st_size)
            tagged.save()

    def discard(self) -> None:
        """Remove the temporary file, if it is still there."""
        if self.writer is not None:
            with contextlib.suppress(soundfile.SoundFileError):
                self.writer.file.close()
        self.path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _disk(self) -> Any:
        try:
            yield
        except (soundfile.SoundFileError, mutagen.MutagenError, OSError) as error:
            raise WorkspaceError(
                f"cannot write the vocals to {self.path.parent}: {error}. If the disk is full, free "
                "some space, then run the same command: it continues where it stopped."
            ) from error
