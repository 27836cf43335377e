"""Embed: a unit vector for each clip, and one for each track, pooled over its clips.

A shard of clips is the unit of work; its vectors are written to parts of the same name in `embeddings/` and `voices/`.
A track's voice is the mean of its clips' vectors, weighted by their length and scaled to unit norm; `spread` is the
mean cosine distance of the clips from it (0 if all are the same).
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from encoder.allocator import keep_freed_memory
from encoder.precision import multiplies_bfloat16
from pipeline.sections import EmbedConfig
from pipeline.sound import audio
from pipeline.sound.overlap import ahead
from pipeline.stages.encoders import load_encoder
from pipeline.store import shards, tables
from pipeline.store.errors import Problem
from pipeline.store.ledger import Ledger
from pipeline.store.parquet import row_groups
from pipeline.store.spool import spooled
from pipeline.store.workspace import Workspace

SHARDS = pa.schema([("shard", pa.string())])
CLIP_COLUMNS = ["clip_id", "track_id", "start_s", "end_s", "audio"]
CACHED_S = 20.0  # of audio per CPU thread; larger batches do not fit its cache and are a third slower


def pending(workspace: Workspace) -> tuple[pa.Table, int]:
    """Return the shards without voices (column `shard`), and the number of those with voices."""
    inside = shards.contents(workspace).to_pandas()
    with_voices = inside["track_id"].isin(tables.keys(workspace, "voices", "track_id"))
    done = set(inside.loc[with_voices, "shard"]) | tables.failed_keys(workspace, "embed")
    names = sorted(set(inside["shard"]))
    todo = [{"shard": name} for name in names if name not in done]
    return pa.Table.from_pylist(todo, schema=SHARDS), len(names) - len(todo)


class Embedder:
    """An encoder on its device, which gets batches of clips of similar length."""

    def __init__(self, model: Any, batch_s: float, bf16: bool):
        keep_freed_memory()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.to(self.device).eval()
        on_cpu = self.device.type == "cpu"
        self.batch_s = min(batch_s, CACHED_S * torch.get_num_threads()) if on_cpu else batch_s
        self.bf16 = bf16 and multiplies_bfloat16(self.device)

    @property
    def encoder_id(self) -> str:
        """The id of the encoder's weights."""
        return self.model.encoder_id

    def __call__(self, clips: list[audio.Audio]) -> np.ndarray:
        """Embed mono clips of one sample rate.

        Returns:
            (clips, dim) float32, unit norm, in the order given.
        """
        vectors: dict[int, np.ndarray] = {}
        for group, waves, lengths in self.batches(clips):
            with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                found = self.model(waves, clips[group[0]].sample_rate_hz, lengths)
            vectors.update(zip(group, found.float().cpu().numpy(), strict=True))
        return np.stack([vectors[i] for i in range(len(clips))])

    def batches(self, clips: list[audio.Audio]) -> Iterator[tuple[list[int], torch.Tensor, torch.Tensor]]:
        """Yield `(which clips, waves (batch, samples), lengths (batch,) samples)` on the device, shortest first."""
        order = sorted(range(len(clips)), key=lambda i: clips[i].samples.shape[1])
        for group in self._groups(clips, order):
            lengths = torch.tensor([clips[i].samples.shape[1] for i in group])
            waves = torch.zeros(len(group), int(lengths.max()))
            for row, i in enumerate(group):
                waves[row, : lengths[row]] = torch.from_numpy(clips[i].samples[0])
            yield group, waves.to(self.device), lengths.to(self.device)

    def _groups(self, clips: list[audio.Audio], order: list[int]) -> Iterator[list[int]]:
        """Divide the order (shortest first) into groups of at most `batch_s` seconds, including padding."""
        group: list[int] = []
        for i in order:
            if group and (len(group) + 1) * clips[i].duration_s > self.batch_s:
                yield group
                group = []
            group.append(i)
        if group:
            yield group


class EmbedWorker:
    """Embed the clips of shards and pool them into voices."""

    def __init__(self, workspace: str, config: EmbedConfig):
        self.workspace = Workspace(workspace)
        self.embedder = Embedder(load_encoder(self.workspace, config.encoder), config.batch_s, config.bf16)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Embed the named shards and return their outcomes."""
        outcomes = []
        for row, copies in spooled(batch.to_pylist(), lambda row: [self._uri(row["shard"])]):
            ledger = Ledger(self.workspace, "embed", "embeddings")
            for shard in [item["shard"] for item in ledger.survivors([row], "shard")]:
                with ledger.item(shard, uri=self._uri(shard)) as outcome:
                    outcome["n"], outcome["audio_s"] = self._embed(shard, copies[self._uri(shard)], ledger)
            outcomes.append(ledger.commit())
        return pa.concat_tables(outcomes)

    def _uri(self, shard: str) -> str:
        return self.workspace.uri(f"clips/{shard}")

    def _embed(self, shard: str, path: str, ledger: Ledger) -> tuple[int, float]:
        """Write a shard's vectors, with those of the tracks last, since they mark the shard as done.

        Returns:
            The number of clips with a vector, and their seconds of audio.
        """
        rows: list[pa.Table] = []
        with contextlib.closing(ahead(decoded(path), 1)) as groups:
            for clips, sounds in groups:
                usable = [
                    self._check(ledger, shard, key, sound)
                    for key, sound in zip(clips["clip_id"].to_pylist(), sounds, strict=True)
                ]
                kept = clips.drop_columns(["audio"]).filter(pa.array(usable))
                if len(kept):
                    vectors = self.embedder([sound for sound, good in zip(sounds, usable, strict=True) if good])
                    rows.append(with_vectors(kept, vectors, self.embedder.encoder_id))
        if not rows:
            raise Problem("silent", "none of its clips can be embedded")
        embeddings = pa.concat_tables(rows)
        part = shard.removeprefix("part-").removesuffix(".parquet")
        tables.append(self.workspace, "embeddings", embeddings, part)
        tables.append(self.workspace, "voices", pool(embeddings), part)
        return len(embeddings), pc.sum(pc.subtract(embeddings["end_s"], embeddings["start_s"])).as_py()

    def _check(self, ledger: Ledger, shard: str, clip_id: str, sound: audio.Audio) -> bool:
        if np.any(sound.samples):
            return True
        ledger.fail(
            clip_id, Problem("silent", "the clip is digital silence"), track_id=clip_id.rpartition("-")[0], within=shard
        )
        return False


def decoded(path: str) -> Iterator[tuple[pa.Table, list[audio.Audio]]]:
    """Yield the row groups of a shard, each with its clips' audio."""
    for clips in row_groups(path, CLIP_COLUMNS):
        yield clips, [audio.from_flac(data) for data in clips["audio"].to_pylist()]


def with_vectors(clips: pa.Table, vectors: np.ndarray, encoder_id: str) -> pa.Table:
    """Return rows of `embeddings`: clips with their vectors, (clips, dim) float32, and the encoder's id."""
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    return clips.append_column("embedding", lists).append_column("encoder_id", pa.array([encoder_id] * len(clips)))


def pool(embeddings: pa.Table) -> list[dict[str, Any]]:
    """Return the rows of `voices`: one pooled unit vector for each track of a table of embeddings."""
    vectors = np.stack(embeddings["embedding"].to_numpy()).astype(np.float64)
    weights = embeddings["end_s"].to_numpy() - embeddings["start_s"].to_numpy()
    tracks = np.array(embeddings["track_id"].to_pylist())
    rows = []
    for track_id in np.unique(tracks):
        at = tracks == track_id
        mean = np.average(vectors[at], axis=0, weights=weights[at])
        voice = mean / max(np.linalg.norm(mean), 1e-9)
        spread = 1 - np.average(vectors[at] @ voice, weights=weights[at])
        rows.append(
            {
                "track_id": str(track_id),
                "encoder_id": embeddings["encoder_id"][0].as_py(),
                "n_clips": int(at.sum()),
                "spread": float(spread),
                "embedding": voice.astype(np.float32).tolist(),
            }
        )
    return rows
