"""Fit an encoder's calibration on tracks whose singers are known: `encoders/<encoder_id>/`.

The labels are the known names (`known=…`), or the files' own artist tags if there is no list. They should be right and
cover all tracks, and the encoder must not have been trained on these singers. At least two singers need two tracks.
"""

import sys

import numpy as np

from jobs import engine
from pipeline.config import Config
from pipeline.people.known import match_known, read_known
from pipeline.people.names import key
from pipeline.scoring import calibrate, voices
from pipeline.scoring.labelled import Clips
from pipeline.scoring.metrics import NotMeasurable
from pipeline.store import tables
from pipeline.store.errors import ConfigError
from pipeline.store.workspace import Workspace


def run(config: Config) -> int:
    """Fit the back-end of the workspace's encoder, store it with the encoder, and return the exit status.

    Raises:
        ConfigError: there are no voices, or too few labelled ones.
    """
    workspace = Workspace(config.workspace)
    _, backend = voices.read(workspace)
    clips = labelled_clips(workspace, singers(config, workspace))
    print(f"{len(clips.singer)} tracks by {len(set(clips.singer))} singers", flush=True)
    try:
        fitted = calibrate.fit([clips], backend.encoder_id, config.seed)
    except NotMeasurable as error:
        raise ConfigError(f"the encoder {backend.encoder_id} cannot be calibrated: {error}") from error
    name = voices.calibration_name(backend.encoder_id)
    workspace.write_bytes(name, fitted.to_bytes())
    numbers = ", ".join(f"{title} {value:.3g}" for title, value in vars(fitted.numbers).items())
    print(f"{workspace.uri(name)}: {numbers}\nRun the cluster stage again.")
    return 0


def singers(config: Config, workspace: Workspace) -> dict[str, str]:
    """Return the singer of each labelled track: by the known names, or by the artist tags."""
    if config.known:
        files = tables.read(workspace, "files", ["uri", "track_id"])
        return match_known(read_known(config.known), config.known, files).vocalists
    tracks = tables.read(workspace, "tracks", ["track_id", "artist"]).dropna()
    return {track_id: key(artist) for track_id, artist in zip(tracks["track_id"], tracks["artist"], strict=True)}


def labelled_clips(workspace: Workspace, labels: dict[str, str]) -> Clips:
    """Return the clips of the labelled tracks."""
    frame, vectors = tables.read_embeddings(workspace)
    kept = frame["track_id"].isin(labels.keys()).to_numpy()
    frame, vectors = frame[kept], vectors[kept]
    track_ids, track = np.unique(frame["track_id"], return_inverse=True)
    seconds = voices.singing_in(workspace, frame)
    singer = np.array([labels[track_id] for track_id in track_ids], object)
    return Clips(vectors.astype(np.float64), seconds, track, singer)


if __name__ == "__main__":
    sys.exit(engine.command("calibrate", __doc__, run))
