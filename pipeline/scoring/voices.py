"""A catalogue's voices and the back-end that their encoder brought, as clustering, tagging and evaluation take them."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd

from encoder.checkpoint import DEFAULT
from pipeline.scoring.backend import FILE, Backend, within_matrix
from pipeline.scoring.scatter import of_clips
from pipeline.store import tables
from pipeline.store.errors import ConfigError
from pipeline.store.workspace import Workspace

SETTLED = 10.0  # voices at which half of their mean is the centre of an encoder that brings none
CLIP_S = 6.0  # of a clip, where the table of clips' vectors does not say how long they are


@dataclass(frozen=True)
class Voices:
    """A catalogue's tracks as scoring takes them, sorted by track.

    `means (n, d)` of their clips' vectors, not brought to unit length: clips that agree less are shorter together.
    `seconds (n,)` of clips behind each.
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
        vectors: (c, d), unit. start_s, seconds: (c,) where each begins and how long it is.
        track: (c,) the row of its track among the voices.
    """

    vectors: np.ndarray
    start_s: np.ndarray
    seconds: np.ndarray
    track: np.ndarray


def read(workspace: Workspace, taught: bool = True) -> tuple[Voices, Backend]:
    """Return the voices of a workspace and the back-end to score them with.

    Args:
        workspace: whose tracks are scored.
        taught: whether to take what the catalogue has taught the back-end (`train.method: linear`), if it has.

    Raises:
        ConfigError: several encoders made the voices, or their calibration cannot be read.
    """
    frame, vectors = tables.read_voices(workspace)
    if len(encoders := sorted(frame["encoder_id"].dropna().unique())) > 1:
        raise ConfigError(
            f"the voices were made by several encoders ({', '.join(encoders)}), whose vectors cannot be "
            "compared: run the embed stage with replace=true"
        )
    frame = frame.assign(row=np.arange(len(frame))).merge(clip_seconds(workspace), on="track_id", how="left")
    frame = frame.sort_values("track_id")
    vectors = vectors[frame["row"].to_numpy()]
    # The mean cosine of the clips with their unit mean is that mean's length.
    length = (1.0 - frame["spread"].fillna(0.0).to_numpy()).astype(vectors.dtype)
    seconds = frame["clips_s"].fillna(CLIP_S * frame["n_clips"].fillna(1)).to_numpy(float)
    voices = Voices(frame["track_id"].to_numpy(), vectors * length[:, None], seconds)
    found = backend(workspace, encoders[0] if encoders else "", vectors.shape[1])
    if taught and workspace.exists(name := taught_name(workspace, found.encoder_id)):
        found = Backend.from_bytes(workspace.read_bytes(name))
    if len(voices) and np.isinf(found.spread):  # nothing was brought: all voices lean to one side, which is nobody's
        found = replace(found, mean=voices.means.mean(0) * len(voices) / (len(voices) + SETTLED))
    return voices, found


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
    """Return the summed length of each track's clips: `track_id`, `clips_s`; in the memory of one part."""
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


def backend(workspace: Workspace, encoder_id: str, dim: int) -> Backend:
    """Return the back-end of an encoder's vectors (dim,): its owner's calibration, or the one shipped with it, or none.

    An encoder without a calibration has no centre (zeros), is normalised by this catalogue's own clips and scored with
    the shipped encoder's numbers, which is a guess (`python -m jobs.calibrate` makes it a measurement).

    Raises:
        ConfigError: a calibration is there and cannot be read.
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
    """Return whether a calibration of this encoder is there."""
    return any(Backend.from_bytes(data).encoder_id == encoder_id for _, data in _files(workspace, encoder_id))


def calibration_name(encoder_id: str) -> str:
    """Return where in a workspace the calibration of an encoder lies."""
    return f"encoders/{encoder_id}/{FILE}"


def taught_name(workspace: Workspace, encoder_id: str) -> str:
    """Return where a workspace keeps what its catalogue has taught the back-end of an encoder.

    The name holds a hash of the calibration from which teaching began: with a new calibration it is to be taught anew.
    """
    own = (data for _, data in _files(workspace, encoder_id) if Backend.from_bytes(data).encoder_id == encoder_id)
    return f"encoders/{encoder_id}/taught-{hashlib.blake2b(next(own, b''), digest_size=4).hexdigest()}.safetensors"


def _files(workspace: Workspace, encoder_id: str) -> list[tuple[str, bytes]]:
    name, shipped = calibration_name(encoder_id), Path(DEFAULT) / FILE
    found = [(workspace.uri(name), workspace.read_bytes(name))] if workspace.exists(name) else []
    return found + ([(str(shipped), shipped.read_bytes())] if shipped.exists() else [])


def _own_matrix(workspace: Workspace, dim: int) -> np.ndarray:
    """Return the normalisation (d, d) by the catalogue's own clips around their tracks' means."""
    found = of_clips(workspace, tables.parts(workspace, "embeddings"), dim).squares
    return within_matrix(found) if np.trace(found) > 0 else np.eye(dim)
