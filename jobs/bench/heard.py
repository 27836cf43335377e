"""Estimate the accuracy of excerpts from the vectors of tracks that were processed whole.

Clips whose middle lies in the excerpts are kept and pooled, and the stages `cluster` and `tag` run on these voices;
the first track of each singer is known.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from jobs.bench.here import run_here
from jobs.bench.table import header, row
from pipeline.config import Config
from pipeline.scoring import metrics
from pipeline.sections import ClusterConfig, ExcerptsConfig
from pipeline.sound.excerpt import planned
from pipeline.stages import embed
from pipeline.store import tables
from pipeline.store.workspace import Workspace

LONG_S = 60.0  # longer tracks can be processed in part
TRIED = ((4, 30), (4, 22.5), (1, 60), (4, 15), (1, 30), (2, 15), (4, 7.5), (6, 5), (1, 20), (4, 5))  # count, seconds


def alike(who: np.ndarray, vectors: np.ndarray) -> dict[str, float]:
    """Return how well voices (n, d) tell the singers (n,) apart."""
    same, scores = who[:, None] == who, vectors @ vectors.T
    pairs = np.triu_indices(len(who), 1)
    np.fill_diagonal(scores, -1.0)
    return {
        "eer": metrics.eer(scores[pairs], same[pairs]),
        "nearest": float(same[np.arange(len(who)), scores.argmax(1)].mean()),
    }


def within(clips: pa.Table, tracks: pd.DataFrame, excerpts: ExcerptsConfig | None) -> pa.Table:
    """Return the rows of `embeddings/` whose clip's middle lies in a track's excerpts."""
    parts = {
        track_id: planned(length_s, excerpts)
        for track_id, length_s in zip(tracks["track_id"], tracks["duration_s"], strict=True)
    }
    middle_s = pc.divide(pc.add(clips["start_s"], clips["end_s"]), 2).to_pylist()
    kept = [
        any(part.start_s <= at_s < (part.end_s or np.inf) for part in parts[track_id])
        for track_id, at_s in zip(clips["track_id"].to_pylist(), middle_s, strict=True)
    ]
    return clips.filter(pa.array(kept))


def answers(folder: Path, tracks: pd.DataFrame, clips: pa.Table, voices: pd.DataFrame) -> dict[str, float]:
    """Return the fractions of tracks that get the right and a wrong name, known ones left out, and the clusters' F1.

    Args:
        folder: an empty one, for a workspace.
        tracks: `uri`, `track_id`, `duration_s`, `who`.
        clips: rows of `embeddings/`.
        voices: rows of `voices/`.
    """
    workspace = Workspace(folder)
    files = tracks[["uri", "track_id", "duration_s"]].assign(artist="", title="")
    tables.write(workspace, "files", files, "all")
    tables.replace(workspace, "tracks", files[["uri", "track_id", "duration_s"]].assign(n_files=1))
    tables.write(workspace, "vocals", files[["track_id"]].assign(vocals_uri="", has_vocals=True), "all")
    tables.write(workspace, "embeddings", clips, "all")
    tables.write(workspace, "voices", voices, "all")
    known = tracks.drop_duplicates("who")
    known[["uri", "who"]].set_axis(["track", "vocalist"], axis=1).to_csv(folder / "known.csv", index=False)
    config = Config(workspace=str(folder), known=str(folder / "known.csv"), cluster=ClusterConfig(umap=False))
    run_here(config, ("cluster", "tag"))
    found = tracks.merge(tables.read(workspace, "tags"), on="track_id", suffixes=("", "_of_tag"))
    asked = found[~found["track_id"].isin(known["track_id"])]
    named, right = asked["source"].isin(["enrolled", "credited"]), asked["vocalist"] == asked["who"]
    groups = tracks.merge(tables.read(workspace, "clusters"), on="track_id")
    return {
        "right": float((named & right).sum() / (len(tracks) - len(known))),
        "wrong": float((named & ~right).sum() / (len(tracks) - len(known))),
        "f1": metrics.bcubed(groups["who"].to_numpy(), groups["cluster_id"].to_numpy()).f1,
    }


def of_whole(vectors: Path) -> None:
    """Print the accuracy that excerpts would have had; the workspace has a `truth.csv` with `uri` and `who`."""
    workspace = Workspace(str(vectors))
    tracks = tables.read(workspace, "files", ["uri", "track_id", "duration_s"]).merge(
        pd.read_csv(vectors / "truth.csv"), on="uri"
    )
    tracks = tracks[tracks.duplicated("who", keep=False) & (tracks["duration_s"] > LONG_S)].sort_values("uri")
    clips = tables.read_arrow(workspace, "embeddings")
    clips = clips.filter(pc.is_in(clips["track_id"], pa.array(tracks["track_id"])))
    header(
        f"{len(tracks)} tracks of {tracks['who'].nunique()} singers, {tracks['duration_s'].median():.0f} s each",
        "excerpts",
        "EER of tracks",
        "nearest is the singer's",
        "named right",
        "named wrong",
        "groups, B-cubed F1",
        "tracks without a clip",
    )
    for excerpts in (None, *(ExcerptsConfig(count=n, seconds=s) for n, s in TRIED)):
        kept = within(clips, tracks, excerpts)
        voices = pd.DataFrame(embed.pool(kept))
        who = tracks.set_index("track_id")["who"].loc[voices["track_id"]].to_numpy()
        found = alike(who, np.stack(voices["embedding"].to_list()))
        with tempfile.TemporaryDirectory() as folder:
            found |= answers(Path(folder), tracks, kept, voices)
        row(
            f"{excerpts.count} of {excerpts.seconds:g} s" if excerpts else "whole",
            *(f"{found[name]:.1%}" for name in ("eer", "nearest", "right", "wrong")),
            f"{found['f1']:.3f}",
            len(tracks) - len(voices),
        )
