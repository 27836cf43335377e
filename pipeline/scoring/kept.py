"""The kept neighbours of a workspace's voices, so that a growing catalogue only searches for those of its new tracks.

`index/voices.parquet` numbers all tracks that were ever searched for. For each number it has the track, a hash of its
voice, and the numbers of its nearest tracks. It also names the pieces of the index, which are files in the same folder,
and is written last, so that all of them exist. Numbers of removed tracks, or of tracks with a new voice, are unused.
"""

import base64
import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.scoring import neighbours
from pipeline.scoring.backend import Backend
from pipeline.scoring.centre import centred
from pipeline.scoring.index import Index, Starmap, in_threads
from pipeline.scoring.neighbours import CANDIDATES, NEIGHBOURS, best
from pipeline.scoring.voices import Voices
from pipeline.store import tables
from pipeline.store.workspace import Workspace

FOLDER = "index"
LIST = f"{FOLDER}/voices.parquet"
CHANGED = 0.2  # share of new or unused numbers from which the index is rebuilt
SAME = 0.98  # least mean cosine of voices between the index's space and the present one for the index to be usable
ASKED = 1000  # voices for which that is checked
UNREADABLE = (FileNotFoundError, KeyError, ValueError, RuntimeError)  # what reading a file that is not whole raises


@dataclass
class Kept:
    """What each number in a kept index stands for.

    Attributes:
        pieces: names of the index's files.
        backend: the space of the vectors.
        track_ids: (m,) str.
        marks: (m,) hashes of the voices.
        near: (m, k) the numbers of the nearest, -1 if there are fewer.
    """

    pieces: list[str]
    backend: Backend
    track_ids: np.ndarray
    marks: np.ndarray
    near: np.ndarray


def nearest(workspace: Workspace, voices: Voices, backend: Backend, starmap: Starmap = in_threads) -> np.ndarray:
    """Return the nearest others (n, k) of each voice with the help of the kept index, and keep what is new.

    Args:
        workspace: that keeps the index.
        voices: of the n tracks.
        backend: as it came with the encoder.
        starmap: runs the work on a large index in parallel.
    """
    n, backend = len(voices), centred(voices, backend)
    if n <= neighbours.EXACT:
        return neighbours.nearest(backend.evidence(voices.means, voices.seconds), backend)
    marks, kept = _marks(voices.means), _read(workspace)
    row = _rows(kept, voices.track_ids, marks) if kept and _same_space(kept.backend, backend, voices) else None
    if kept is None or row is None or (row < 0).sum() + n - (row >= 0).sum() > CHANGED * n:
        return _anew(workspace, voices, marks, backend, starmap)
    there = np.flatnonzero(row >= 0)
    near = np.full((n, NEIGHBOURS), -1, np.int32)
    near[row[there]] = _renamed(kept.near[there], row)
    new = np.setdiff1d(np.arange(n), row)
    if not len(new):
        return near
    index = _index(workspace, kept)
    if index is None:
        return _anew(workspace, voices, marks, backend, starmap)
    directions = kept.backend.evidence(voices.means[new], voices.seconds[new]).direction
    row = np.concatenate([row, new])
    found = index.add(directions, starmap).search(directions, CANDIDATES + 1, starmap=starmap)
    evidence = backend.evidence(voices.means, voices.seconds)
    near[new] = best(evidence, backend, _renamed(found, row), NEIGHBOURS, new)
    number = np.full(n, -1)
    number[row[row >= 0]] = np.flatnonzero(row >= 0)
    kept.track_ids = np.concatenate([kept.track_ids, voices.track_ids[new]])
    kept.marks = np.concatenate([kept.marks, marks[new]])
    kept.near = np.concatenate([kept.near, _renamed(near[new], number)])
    _write(workspace, kept, index)
    return near


def _anew(workspace: Workspace, voices: Voices, marks: np.ndarray, backend: Backend, starmap: Starmap) -> np.ndarray:
    """Return the nearest others of each voice by a new index, and keep it."""
    evidence = backend.evidence(voices.means, voices.seconds)
    index = Index().add(evidence.direction, starmap)
    near = best(evidence, backend, index.search(evidence.direction, CANDIDATES + 1, starmap=starmap), NEIGHBOURS)
    workspace.delete(FOLDER)
    _write(workspace, Kept([], backend, voices.track_ids, marks, near), index)
    return near


def _rows(kept: Kept, track_ids: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Return the present row (m,) of each kept number, -1 for none."""
    rows = {track_id: i for i, track_id in enumerate(track_ids)}
    row = np.array([rows.get(track_id, -1) for track_id in kept.track_ids], int)
    return np.where((row >= 0) & (marks[row] == kept.marks), row, -1)


def _same_space(kept: Backend, backend: Backend, voices: Voices) -> bool:
    some = voices[np.linspace(0, len(voices) - 1, ASKED).astype(int)]
    if kept.encoder_id != backend.encoder_id or kept.mean.shape != backend.mean.shape:
        return False
    then, now = (space.evidence(some.means, some.seconds).direction for space in (kept, backend))
    return float((then * now).sum(1).mean()) >= SAME


def _renamed(numbers: np.ndarray, name: np.ndarray) -> np.ndarray:
    return np.where(numbers >= 0, name[numbers], -1).astype(np.int32)


def _marks(means: np.ndarray) -> np.ndarray:
    """Return a hash (n,) of each voice."""
    factors = np.random.default_rng(0).integers(1, 2**63, means.shape[1], np.uint64)
    bits = np.ascontiguousarray(means, np.float32).view(np.uint32)
    return np.concatenate([(part * factors).sum(1) for part in np.array_split(bits, 1 + len(bits) // 65_536)])


def _read(workspace: Workspace) -> Kept | None:
    """Return what is kept without its index; None if nothing is, or if it cannot be read."""
    if not workspace.exists(LIST):
        return None
    try:
        found = tables.read_part(workspace, LIST)
        about = found.schema.metadata
        near = pa.concat_arrays([chunk.flatten() for chunk in found["near"].chunks]).to_numpy()
        return Kept(
            json.loads(about[b"pieces"]),
            Backend.from_bytes(base64.b64decode(about[b"backend"])),
            found["track_id"].to_numpy(),
            found["mark"].to_numpy(),
            near.reshape(len(found), -1),
        )
    except UNREADABLE:
        return None


def _index(workspace: Workspace, kept: Kept) -> Index | None:
    """Return the kept index; None if it cannot be read."""
    try:
        return Index.from_bytes([workspace.read_bytes(name) for name in kept.pieces])
    except UNREADABLE:
        return None


def _write(workspace: Workspace, kept: Kept, index: Index) -> None:
    first, kept.pieces = 0, []
    for piece, data in zip(index.pieces, index.to_bytes(), strict=True):
        mark = int(kept.marks[first : first + piece.ntotal].sum())
        kept.pieces.append(f"{FOLDER}/piece-{first}-{piece.ntotal}-{mark:016x}.faiss")
        if not workspace.exists(kept.pieces[-1]):
            workspace.write_bytes(kept.pieces[-1], data)
        first += piece.ntotal
    near = pa.FixedSizeListArray.from_arrays(pa.array(kept.near.ravel(), pa.int32()), kept.near.shape[1])
    rows = pa.table({"track_id": kept.track_ids.astype(str), "mark": kept.marks, "near": near})
    about = {"pieces": json.dumps(kept.pieces), "backend": base64.b64encode(kept.backend.to_bytes()).decode()}
    workspace.write_bytes(LIST, tables.parquet(rows.replace_schema_metadata(about)))
    for name in set(workspace.list(FOLDER)) - {LIST, *kept.pieces}:
        workspace.delete(name)
