"""A catalogue's voices and its encoder's back-end, in the form that clustering, tagging and evaluation need."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from encoder import DEFAULT
from pipeline.scoring.backend import FILE, Backend, within_matrix
from pipeline.scoring.scatter import of_clips
from pipeline.store import tables
from pipeline.store.errors import ConfigError
from pipeline.store.workspace import Workspace

SETTLED = 10.0  # voices at which the centre is half of their mean, for an encoder without a centre of its own
CLIP_S = 6.0  # assumed length of a clip, if `embeddings/` does not say how long it is


@dataclass(frozen=True)
class Voices:
    """A catalogue's tracks, sorted by `track_ids (n,)`.

    `means (n, d)` are the means of their clips' vectors, not brought to unit length: the less the clips agree, the
    shorter they are. `seconds (n,)` are how much singing their clips hold.
    """

    track_ids: np.ndarray
    means: np.ndarray
    seconds: np.ndarray

    def __len__(self) -> int:
        return len(self.track_ids)

    def __getitem__(self, rows: np.ndarray) -> "Voices":
        return Voices(self.track_ids[rows], self.means[rows], self.seconds[rows])


@dataclass(frozen=True)
class Clips:
    """Clips of some tracks.

    Attributes:
        vectors: (c, d) of unit length.
        start_s, seconds: (c,) where each clip begins, and how long it is.
        track: (c,) the row of its track among the voices.
    """

    vectors: np.ndarray
    start_s: np.ndarray
    seconds: np.ndarray
    track: np.ndarray

    def of(self, tracks: np.ndarray) -> "Clips":
        """Return the clips of the `tracks (k,)`, whose rows stay as they are."""
        rows = np.isin(self.track, tracks)
        return Clips(self.vectors[rows], self.start_s[rows], self.seconds[rows], self.track[rows])


def read(workspace: Workspace, taught: bool = True) -> tuple[Voices, Backend]:
    """Return the voices of a workspace and the back-end to score them with.

    Args:
        workspace: whose tracks are scored.
        taught: whether to use what the back-end has learned from the catalogue (`train.method: linear`), if it has.

    Raises:
        ConfigError: several encoders made the voices, or their calibration cannot be read.
    """
    found = tables.present_voices(workspace)
    frame, vectors = found.drop_columns(["embedding"]).to_pandas(), tables.vector_chunks(found)
    if len(encoders := sorted(frame["encoder_id"].dropna().unique())) > 1:
        raise ConfigError(
            f"the voices were made by several encoders ({', '.join(encoders)}), whose vectors cannot be "
            "compared: run the embed stage with replace=true"
        )
    # `spread` is 1 minus the clips' mean cosine with their mean, and that cosine is the mean's length.
    length = (1.0 - frame["spread"].fillna(0.0).to_numpy()).astype(np.float32)
    order = pc.sort_indices(found["track_id"]).to_numpy()
    means = _means(vectors, length, order)
    del found, vectors  # as large as the means
    frame = frame[["track_id", "n_clips"]].iloc[order].merge(sung_seconds(workspace), on="track_id", how="left")
    seconds = frame["sung_s"].fillna(CLIP_S * frame["n_clips"].fillna(1)).to_numpy(float)
    voices = Voices(frame["track_id"].to_numpy(), means, seconds)
    score_with = backend(workspace, encoders[0] if encoders else "", means.shape[1])
    if taught and workspace.exists(name := taught_name(workspace, score_with.encoder_id)):
        score_with = Backend.from_bytes(workspace.read_bytes(name))
    if len(voices) and np.isinf(score_with.variance):  # no calibration: what all voices share identifies nobody
        score_with = replace(score_with, mean=means.mean(0) * len(voices) / (len(voices) + SETTLED))
    return voices, score_with


def _means(vectors: Sequence[np.ndarray], length: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return vectors (n, d) with a `length (n,)` each, in an `order (n,)`; they come in chunks (c, d)."""
    means = np.empty((len(length), vectors[0].shape[1] if vectors else 0), np.float32)
    place = np.empty(len(order), int)
    place[order] = np.arange(len(order))
    start = 0
    for chunk in vectors:
        rows = slice(start, start + len(chunk))
        means[place[rows]] = chunk * length[rows, None]
        start = rows.stop
    return means


def read_clips(workspace: Workspace, voices: Voices, track_ids: Collection[str]) -> Clips:
    """Return the clips of the named tracks, those that are voices; no more is read than parts of which they may be."""
    row = {track_id: at for at, track_id in enumerate(voices.track_ids) if track_id in track_ids}
    found = [Clips(np.zeros((0, voices.means.shape[1]), np.float32), np.zeros(0), np.zeros(0), np.zeros(0, int))]
    columns = ["track_id", "start_s", "end_s", "embedding"]
    for part in tables.iter_arrow(workspace, "embeddings", columns, row) if row else ():
        if len(part):
            start_s, end_s = part["start_s"].to_numpy(), part["end_s"].to_numpy()
            at = np.array([row[track_id] for track_id in part["track_id"].to_pylist()], int)
            found.append(Clips(tables.vectors_of(part), start_s, end_s - start_s, at))
    return Clips(*(np.concatenate([getattr(part, name.name) for part in found]) for name in fields(Clips)))


def clip_seconds(workspace: Workspace) -> pd.DataFrame:
    """Return the total length of each track's clips: `track_id`, `clips_s`; holds one part in memory."""
    found = [
        pd.DataFrame(
            {"track_id": part["track_id"].to_pylist(), "clips_s": part["end_s"].to_numpy() - part["start_s"].to_numpy()}
        )
        .groupby("track_id")
        .sum()
        for part in tables.iter_arrow(workspace, "embeddings", ["track_id", "start_s", "end_s"])
    ]
    if not found:
        return pd.DataFrame({"track_id": pd.Series(dtype=object), "clips_s": pd.Series(dtype=float)})
    return pd.concat(found).groupby("track_id").sum().reset_index()


def sung_seconds(workspace: Workspace) -> pd.DataFrame:
    """Return how much of each track's clips is sung: `track_id`, `clips_s`, `sung_s`.

    Clips hold pauses too, and where singing is faint most of a clip is the separator's residue of instruments. They
    hold no more singing than the whole track (`voiced_s`, `pipeline.sound.activity`).
    """
    voiced = tables.read(workspace, "vocals", ["track_id", "voiced_s"]).drop_duplicates("track_id")
    found = clip_seconds(workspace).merge(voiced, on="track_id", how="left")
    return found.assign(sung_s=np.fmin(found["clips_s"], found["voiced_s"])).drop(columns="voiced_s")


def singing_in(workspace: Workspace, clips: pd.DataFrame) -> np.ndarray:
    """Return the seconds of singing in each clip (c,); all clips of a track are taken to hold the same share of it.

    Args:
        workspace: with the tables.
        clips: `track_id`, `start_s`, `end_s`, all clips of their tracks.
    """
    tracks = sung_seconds(workspace).set_index("track_id")
    share = (tracks["sung_s"] / tracks["clips_s"]).reindex(clips["track_id"]).to_numpy(float)
    return (clips["end_s"] - clips["start_s"]).to_numpy(float) * share


def backend(workspace: Workspace, encoder_id: str, dim: int) -> Backend:
    """Return the back-end for an encoder's vectors (dim,): the workspace's calibration, the shipped one, or a guess.

    An encoder without a calibration is centred at zero, normalised by this catalogue's own clips and scored with the
    shipped encoder's numbers, which are a guess for it (`python -m jobs.calibrate` measures them).

    Raises:
        ConfigError: there is a calibration, but it cannot be read.
    """
    for place, data in _files(workspace, encoder_id):
        try:
            found = Backend.from_bytes(data)
        except ValueError as error:
            raise ConfigError(f"{place}: {error}") from error
        if found.encoder_id == encoder_id:
            return found
    return Backend(np.zeros(dim), _own_matrix(workspace, dim), encoder_id=encoder_id)


def is_calibrated(workspace: Workspace, encoder_id: str) -> bool:
    """Return whether there is a calibration of this encoder."""
    return bool(_own(workspace, encoder_id))


def calibration_name(encoder_id: str) -> str:
    """Return the name in the workspace of an encoder's calibration."""
    return f"encoders/{encoder_id}/{FILE}"


def taught_name(workspace: Workspace, encoder_id: str) -> str:
    """Return the name in the workspace of what an encoder's back-end has learned from the catalogue.

    It contains a hash of the calibration that learning started from, so that a new calibration has to learn again.
    """
    return _taught_name(encoder_id, _own(workspace, encoder_id))


def scored_by(workspace: Workspace) -> str:
    """Return a hash of what the voices are scored by: their encoder's calibration, and what it has learned here."""
    found = hashlib.blake2b(digest_size=8)
    for encoder_id in sorted(filter(None, tables.keys(workspace, "voices", "encoder_id"))):
        found.update(own := _own(workspace, encoder_id))
        if workspace.exists(name := _taught_name(encoder_id, own)):
            found.update(workspace.read_bytes(name))
    return found.hexdigest()


def _taught_name(encoder_id: str, own: bytes) -> str:
    return f"encoders/{encoder_id}/taught-{hashlib.blake2b(own, digest_size=4).hexdigest()}.safetensors"


def _own(workspace: Workspace, encoder_id: str) -> bytes:
    """Return an encoder's calibration; nothing if it has none."""
    files = (data for _, data in _files(workspace, encoder_id))
    return next((data for data in files if Backend.from_bytes(data).encoder_id == encoder_id), b"")


def _files(workspace: Workspace, encoder_id: str) -> list[tuple[str, bytes]]:
    name, shipped = calibration_name(encoder_id), Path(DEFAULT) / FILE
    found = [(workspace.uri(name), workspace.read_bytes(name))] if workspace.exists(name) else []
    return found + ([(str(shipped), shipped.read_bytes())] if shipped.exists() else [])


def _own_matrix(workspace: Workspace, dim: int) -> np.ndarray:
    """Return the normalisation (d, d) by the scatter of the catalogue's own clips around their tracks' means."""
    found = of_clips(workspace, tables.parts(workspace, "embeddings"), dim).squares
    return within_matrix(found) if np.trace(found) > 0 else np.eye(dim)
