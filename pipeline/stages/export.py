"""Export: one conditioning vector for each vocalist, for singing synthesis.

A vector is the mean of the voices of a vocalist's tracks, scaled to unit norm. It is in the encoder's own space, not
centred on the catalogue as in tagging, so it can be compared directly with `encoder(wave)`.

- A track with n clips has the weight `n / (n + SETTLED_CLIPS)`: more clips make a voice more certain but are still one
  song, so an hour of one recording does not outvote ten songs.
- The tracks that are least similar to the others (`trim` of them) are left out, so a few wrong tags do no harm.

`conditioning/` is a table; `vocalists.safetensors` holds the same vectors as one matrix with the names in its metadata,
the form in which a synthesiser needs its table of singers: a name may be any text, and row i is singer i. The file is
outside the table's folder, which any Parquet reader can open as a whole.
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
SETTLED_CLIPS = 4  # clips at which a track has half of the highest weight


def sung_tracks(workspace: Workspace, config: ExportConfig) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the tracks that certainly have a name and one singer, one of each recording, and their voices.

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
    """Return the rows of `conditioning`, sorted by vocalist, from what `sung_tracks` returned.

    Raises:
        ConfigError: no vocalist is left.
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
    """Return the vector (d,) float32 of one vocalist's tracks, unit norm, and which tracks it is made of (n,) bool.

    Args:
        voices: (n, d) unit vectors.
        n_clips: (n,) of each track.
        trim: share of the tracks, rounded down, that are left out.
    """
    weights = n_clips / (n_clips + SETTLED_CLIPS)
    weighted = voices * weights[:, None]
    similarity = np.einsum("nd,nd->n", voices, unit(weighted.sum(0) - weighted))  # of each with all the others
    kept = np.ones(len(voices), bool)
    kept[np.argsort(similarity, kind="stable")[: int(trim * len(voices))]] = False
    return unit(weighted[kept].sum(0)), kept


def matrix(rows: list[dict]) -> bytes:
    """Return the rows of `conditioning` as a safetensors file.

    It holds `embedding` (vocalists, d) float32. Its metadata has one key, `vocatlas`, since the order of several keys
    would be random: JSON with the `encoder_id` and the `vocalists`, row for row.
    """
    about = {"encoder_id": rows[0]["encoder_id"], "vocalists": [row["vocalist"] for row in rows]}
    vectors = np.array([row["embedding"] for row in rows], np.float32)
    return save({"embedding": vectors}, {"vocatlas": json.dumps(about)})
