"""The worker of evaluation: embeds crops of recordings under every condition by every encoder that lacks them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.evaluate import adapters, conditions
from pipeline.evaluate.stems import Wave
from pipeline.evaluate.vectors import FOLDER, SCHEMA, Job, condition_key, job_of
from pipeline.sections import EvaluateConfig
from pipeline.store.errors import Problem
from pipeline.store.ledger import Ledger, batch_name
from pipeline.store.parquet import parquet
from pipeline.store.workspace import Workspace

TOGETHER = 64  # crops of all recordings of a call that are collected before the encoder runs


class Embedding:
    """A worker: embeds recordings under every condition by every encoder that lacks them."""

    def __init__(self, workspace: str, config: EvaluateConfig, encoders: Mapping[str, str]) -> None:
        """Load the encoders.

        Args:
            encoders: name in the tables -> what `adapters.load` takes.
        """
        self.config = config
        self.workspace = Workspace(workspace)
        self.adapters = {name: adapters.load(source) for name, source in encoders.items()}
        self._separator: Any = None
        self.rows: list[dict[str, Any]] = []
        self.waiting: dict[str, list[tuple[dict[str, Any], Wave]]] = {}

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Embed a batch of `PENDING` rows, write the vectors, and return the rows' outcomes."""
        ledger = Ledger(self.workspace, "evaluate", "evaluation")
        self.rows, self.waiting = [], {}
        for row in ledger.survivors(batch.to_pylist(), "key"):
            with ledger.item(row["key"], uri=row["uri"]):
                self._recording(job_of(row["job"]))
        for name in list(self.waiting):
            self._embed(name)
        if self.rows:
            made = [" ".join(row[name] for name in SCHEMA.names[:3]) for row in self.rows]
            rows = pa.Table.from_pylist(self.rows, schema=SCHEMA)
            self.workspace.write_bytes(f"{FOLDER}/part-{batch_name(made)}.parquet", parquet(rows))
        return ledger.commit()

    def _recording(self, job: Job) -> None:
        """Cut a recording's crops under each wanted condition and put them into the encoders' queues."""
        names = list(dict.fromkeys(name for _, name in job.wanted))
        needs_separator = any(conditions.parse(name).base == "separated" for name in names)
        rate_hz = self.config.sample_rate_hz
        versions = conditions.Versions(
            job.uri, job.voice, job.accompaniment, rate_hz, self.separator if needs_separator else None
        )
        voice = versions.wave(conditions.parse("clean"))
        if job.crops:
            crops = [(start_s, len(voice) / rate_hz if end_s is None else end_s) for start_s, end_s in job.crops]
        else:
            crops = conditions.choose_crops(voice, rate_hz, self.config)
        problems = []
        for name in names:
            try:
                self._condition(job, name, versions, crops)
            except Problem as problem:
                problems.append(f"{name}: {problem}")
        if problems:
            raise Problem("condition", "; ".join(problems))

    def _condition(self, job: Job, name: str, versions: conditions.Versions, crops: list[tuple[float, float]]) -> None:
        condition = conditions.parse(name)
        wave = versions.wave(condition)
        rows, waiting = [], []
        for number, (start_s, end_s) in enumerate(crops):
            samples = conditions.crop(wave, versions.rate_hz, start_s, end_s, condition.crop_s)
            audible = len(samples) and 20 * np.log10(np.abs(samples).max() + 1e-12) >= self.config.silence_db
            for encoder in (encoder for encoder, wanted in job.wanted if wanted == name):
                row = {
                    "recording_key": job.recording_key,
                    "condition": condition_key(name, self.config),
                    "encoder_id": self.adapters[encoder].encoder_id,
                    "crop": number,
                    "start_s": start_s,
                    "end_s": end_s,
                    "embedding": None,
                }
                rows.append(row)
                if audible:
                    waiting.append((encoder, row, samples))
        # Either all crops of a condition or none: the next run would take a part for the whole.
        self.rows += rows
        for encoder, row, samples in waiting:
            self.waiting.setdefault(encoder, []).append((row, samples))
        for encoder in [name for name, queue in self.waiting.items() if len(queue) >= TOGETHER]:
            self._embed(encoder)

    def _embed(self, encoder: str) -> None:
        """Embed an encoder's queue and fill in the vectors; a crop that the encoder refuses keeps its null."""
        queue = self.waiting.pop(encoder)
        adapter, rate_hz = self.adapters[encoder], self.config.sample_rate_hz
        try:
            vectors = list(adapter.embed([crop for _, crop in queue], rate_hz))
        except (ValueError, RuntimeError):
            vectors = [_alone(adapter, crop, rate_hz) for _, crop in queue]
        for (row, _), vector in zip(queue, vectors, strict=True):
            if vector is not None and np.isfinite(vector).all() and np.any(vector):
                row["embedding"] = vector.astype(np.float32)

    @property
    def separator(self) -> Any:
        """The separator, loaded when the first recording needs it."""
        if self._separator is None:
            from pipeline import separators

            self._separator = separators.load(self.config.separator)
        return self._separator


def _alone(adapter: adapters.Adapter, crop: Wave, rate_hz: int) -> NDArray[np.floating] | None:
    """Return the vector of one crop, or None if the encoder refuses it, for example because it is too short."""
    try:
        return adapter.embed([crop], rate_hz)[0]
    except (ValueError, RuntimeError):
        return None
