"""Export: one conditioning vector for each vocalist, for singing synthesis.

A vector is the mean of the voices of a vocalist's tracks, back at unit norm, in the encoder's own space: not centred
on the catalogue as tagging centres it, so it can be compared with `encoder(wave)` as it stands.

- A track counts by `n / (n + SETTLED_CLIPS)`, n its clips: more clips make a voice surer, yet they are still one
  song, so that an hour of one recording does not outvote ten songs.
- The tracks least like the rest (`trim` of them) do not count: a few wrong tags shift nothing.

`conditioning/` is a table; `vocalists.safetensors` holds the same vectors as one matrix and the names in its metadata,
as a synthesiser's table of singers wants them: a name may be any text, and row i is singer i. It lies beside the
table, so that any Parquet reader can open that folder.
"""

import json

import numpy as np
import pandas as pd
from safetensors.numpy import save

from pipeline.scoring.scores import unit
from pipeline.scoring.voices import clip_seconds
from pipeline.sections import ExportConfig
from pipeline.store import tables
from pipeline.store.errors import ConfigError
from pipeline.store.workspace import Workspace

MATRIX = "vocalists.safetensors"
SETTLED_CLIPS = 4  # at so many clips a track counts half of what it could at most


def sung_tracks(workspace: Workspace, config: ExportConfig) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a row per track that surely bears a name and is sung by nobody else, one of each recording; its voice.

    Returns:
        `(frame, voices)`: frame with `track_id`, `vocalist`, `source`, `encoder_id`, `n_clips`, `clips_s`, sorted by
        vocalist and track; voices (n, d) float32 row for row.

    Raises:
        ConfigError: there are no tags or voices, or several encoders made the voices.
    """
    tags = tables.read(workspace, "tags", ["track_id", "vocalist", "source", "probability", "doubt", "same_recording"])
    frame, vectors = tables.read_voices(workspace)
    for table, rows, stage in (("tags", tags, "tag"), ("voices", frame, "embed")):
        if not len(rows):
            raise ConfigError(f"{workspace.uri(table)} holds nothing to export: run the stages up to {stage} first")
    if len(encoders := sorted(frame["encoder_id"].unique())) > 1:
        raise ConfigError(
            f"the voices were made by several encoders ({', '.join(encoders)}), whose vectors cannot be "
            "averaged: run the embed stage with replace=true"
        )
    sure = (tags["probability"].fillna(0) >= config.min_probability) & tags["doubt"].isna()
    kept = tags[sure & tags["vocalist"].notna()].sort_values("same_recording", na_position="first", kind="stable")
    kept = kept.assign(recording=kept["same_recording"].fillna(kept["track_id"]))
    kept = kept.drop_duplicates(["vocalist", "recording"])[["track_id", "vocalist", "source"]]
    frame = frame.assign(row=np.arange(len(frame))).merge(kept, on="track_id")
    frame = frame.merge(clip_seconds(workspace), on="track_id", how="left").sort_values(["vocalist", "track_id"])
    at = frame["row"].to_numpy()
    return frame.drop(columns=["row", "spread"]).reset_index(drop=True), vectors[at]


def conditioning(frame: pd.DataFrame, voices: np.ndarray, config: ExportConfig) -> list[dict]:
    """Return the rows of `conditioning`, sorted by vocalist, from what `sung_tracks` gives.

    Raises:
        ConfigError: not one vocalist is left.
    """
    rows = []
    for vocalist, at in sorted(frame.groupby("vocalist").indices.items()):
        tracks = frame.iloc[at]
        if len(tracks) < config.min_tracks:
            continue
        vector, kept = vocalist_vector(voices[at], tracks["n_clips"].to_numpy(), config.trim)
        sources = tracks["source"].unique()
        rows.append(
            {
                "vocalist": vocalist,
                "encoder_id": tracks["encoder_id"].iloc[0],
                "source": sources[0] if len(sources) == 1 else "mixed",
                "n_tracks": len(tracks),
                "n_left_out": int((~kept).sum()),
                "n_clips": int(tracks["n_clips"].to_numpy()[kept].sum()),
                "clips_s": float(tracks["clips_s"].to_numpy()[kept].sum()),
                "spread": float(1 - (voices[at] @ vector).mean()),
                "embedding": vector.tolist(),
            }
        )
    if not rows:
        raise ConfigError(
            f"no vocalist has {config.min_tracks} tracks or more whose tags have a probability of "
            f"{config.min_probability:g}: lower export.min_tracks or export.min_probability"
        )
    return rows


def vocalist_vector(voices: np.ndarray, n_clips: np.ndarray, trim: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the vector (d,) float32 of one vocalist's tracks, unit norm, and which of them it is of (n,) bool.

    Args:
        voices: (n, d) unit vectors. n_clips: (n,). trim: part of the tracks, rounded down, that do not count.
    """
    weights = n_clips / (n_clips + SETTLED_CLIPS)
    weighted = voices * weights[:, None]
    similarity = np.einsum("nd,nd->n", voices, unit(weighted.sum(0) - weighted))  # of each with all the others
    kept = np.ones(len(voices), bool)
    kept[np.argsort(similarity, kind="stable")[: int(trim * len(voices))]] = False
    return unit(weighted[kept].sum(0)), kept


def matrix(rows: list[dict]) -> bytes:
    """Return the rows of `conditioning` as a safetensors file.

    It holds `embedding` (vocalists, d) float32, and as JSON under the key `vocatlas` of its metadata the `encoder_id`
    and the `vocalists`, row for row. One key, because the order of several is left to chance.
    """
    about = {"encoder_id": rows[0]["encoder_id"], "vocalists": [row["vocalist"] for row in rows]}
    vectors = np.array([row["embedding"] for row in rows], np.float32)
    return save({"embedding": vectors}, {"vocatlas": json.dumps(about)})
