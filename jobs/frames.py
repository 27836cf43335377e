"""The output of a frozen trunk for the catalogue's clips, computed once by Ray tasks, and the voices computed from it.

These frames are kept in `encoders/_training/frames-<encoder_id>/`, one file per shard of clips with 0.3 MB for a clip
of 6 s. The next training uses them too; they may be deleted at any time.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch

from encoder.model import Encoder
from encoder.training import trunk
from encoder.training.data import INDEX_COLUMNS, ClipShards, every_other
from encoder.training.views import at_speed, pad
from jobs.fitting import RUNS
from jobs.tasks import in_tasks
from pipeline.scoring.labelled import Clips, pool
from pipeline.scoring.scatter import Scatter, scatter
from pipeline.scoring.voices import Voices
from pipeline.sound import audio
from pipeline.stages.embed import Embedder
from pipeline.store import tables
from pipeline.store.parquet import parquet, row_groups
from pipeline.store.workspace import Workspace

BATCH_S = 40.0  # of audio in a batch, including padding
BATCH = 16  # whole clips embedded at a time
ROW_GROUP = 16  # clips: few, since a second view may be in any group
AUDIO = ("audio", "pair_audio")
WHOLE_S = 1e4  # longer than any clip


class Heard(NamedTuple):
    """A catalogue's voices by an encoder.

    Attributes:
        voices: sorted by track.
        teaching: the same tracks in every other clip, from which a network may learn.
        testing: the same tracks in the clips in between; 0 s of a track with a single clip.
        clips: scatter of the clips around their tracks' means.
    """

    voices: Voices
    teaching: Voices
    testing: Voices
    clips: Scatter


def keep(workspace: Workspace, start: Encoder) -> list[str]:
    """Compute the frames of all clips without frames, and return the names of the files.

    Args:
        workspace: with the clips.
        start: the encoder that training starts from.
    """
    clips = tables.parts(workspace, "clips")
    folder = f"{RUNS}/frames-{start.encoder_id}"
    names = [f"{folder}/{part.rpartition('/')[2]}" for part in clips]
    todo = [pair for pair in zip(clips, names, strict=True) if not is_kept(workspace, *pair)]
    in_tasks(_keep, [(workspace.location, part, name, start) for part, name in todo])
    return names


def is_kept(workspace: Workspace, part: str, name: str) -> bool:
    """Return whether there are frames of a shard's present clips."""
    if not workspace.exists(name):
        return False
    return tables.read_part(workspace, name, INDEX_COLUMNS).equals(tables.read_part(workspace, part, INDEX_COLUMNS))


def _keep(root: str, part: str, name: str, model: Encoder) -> None:
    workspace, embedder, frames = Workspace(root), Embedder(model, BATCH_S, bf16=False), []
    with workspace.fs.open_input_file(workspace.path(part)) as source:
        for clips in row_groups(source, [*INDEX_COLUMNS, "sample_rate_hz", *AUDIO]):
            for column in [column for column in AUDIO if column in clips.column_names]:
                found = pa.array(framed(embedder, clips[column].to_pylist()), pa.binary())
                clips = clips.set_column(clips.schema.get_field_index(column), column, found)
            frames.append(clips)
    workspace.write_bytes(name, parquet(pa.concat_tables(frames), ROW_GROUP, compression="none"))


def framed(embedder: Embedder, clips: Sequence[bytes | None]) -> list[bytes | None]:
    """Return the frames of FLAC clips in order; None for a missing clip."""
    found: list[bytes | None] = [None] * len(clips)
    there = [i for i, data in enumerate(clips) if data]
    sounds = [audio.from_flac(clips[i] or b"") for i in there]
    for group, waves, lengths in embedder.batches(sounds):
        kept = trunk.frames_of(embedder.model, waves, sounds[group[0]].sample_rate_hz, lengths)
        for i, frames in zip(group, kept, strict=True):
            found[there[i]] = frames
    return found


def hear(workspace: Workspace, shards: Sequence[str], model: Encoder) -> Heard:
    """Return an encoder's voices for shards of clips, or of their frames, sorted by track."""
    found = in_tasks(_hear, [(workspace.location, shard, model) for shard in shards])
    every, teaching, testing, scatters = zip(*found, strict=True)
    return Heard(_joined(every), _joined(teaching), _joined(testing), reduce(add, scatters))


def _joined(parts: Sequence[Voices]) -> Voices:
    ids = np.concatenate([part.track_ids for part in parts])
    means, seconds = np.concatenate([part.means for part in parts]), np.concatenate([part.seconds for part in parts])
    return Voices(ids, means, seconds)[np.argsort(ids)]


def _hear(root: str, shard: str, model: Encoder) -> tuple[Voices, Voices, Voices, Scatter]:
    workspace = Workspace(root)
    opened = ClipShards.open([workspace.path(shard)], workspace.fs)
    clips, ids = embedded(opened, model)
    teaches = every_other(opened.rows)
    voices, teaching, testing = (
        Voices(ids, *pool(Clips(clips.vectors[kept], clips.seconds[kept], clips.track[kept], ids))[:2])
        for kept in (np.ones_like(teaches), teaches, ~teaches)
    )
    return voices, teaching, testing, scatter(clips.vectors, clips.track)


@torch.inference_mode()
def embedded(shards: ClipShards, model: Encoder) -> tuple[Clips, np.ndarray]:
    """Return an encoder's vectors of the clips in shards of audio or frames, and their tracks' ids, sorted."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, vectors = model.to(device).eval(), []
    for first in range(0, len(shards), BATCH):
        crops = [shards.crop(i, 0.0, WHOLE_S) for i in range(first, min(first + BATCH, len(shards)))]
        views, lengths = pad([at_speed(wave, rate, model.sample_rate_hz, 1.0) for wave, rate in crops])
        vectors.append(trunk.embed(model, views.to(device), lengths.to(device)).cpu().numpy())
    ids, track = np.unique([row.track_id for row in shards.rows], return_inverse=True)
    seconds = np.array([row.duration_s for row in shards.rows])
    return Clips(np.concatenate(vectors).astype(np.float64), seconds, track, ids), ids
