"""The embeddings that evaluation needs, each computed once and kept.

`evaluation_vectors/` in the workspace holds a row per crop, condition and encoder. `recording_key` is a hash of the
file's content, its channels and how its crops are chosen: a set that was moved or renamed is recognised, one that has
changed is embedded again. A crop that is silent under a condition, or that an encoder refuses, has a null.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.evaluate import conditions
from pipeline.evaluate.datasets import Recording
from pipeline.sections import EvaluateConfig
from pipeline.store import parquet, tables
from pipeline.store.ledger import batch_name
from pipeline.store.locations import open_filesystem
from pipeline.store.workspace import Workspace

Crops = tuple[tuple[float, float | None], ...]

FOLDER = "evaluation_vectors"
SCHEMA = pa.schema(
    [
        ("recording_key", pa.string()),
        ("condition", pa.string()),
        ("encoder_id", pa.string()),
        ("crop", pa.int32()),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        ("embedding", pa.list_(pa.float32())),
    ]
)
PENDING = pa.schema([("key", pa.string()), ("uri", pa.string()), ("job", pa.string())])


@dataclass(frozen=True)
class Job:
    """One recording to embed: `wanted` are pairs (encoder name, condition); without `crops` they are chosen."""

    recording_key: str
    uri: str
    voice: tuple[int, ...]
    accompaniment: tuple[int, ...]
    crops: Crops | None
    wanted: tuple[tuple[str, str], ...]


def recording_key(recording: Recording, config: EvaluateConfig, crops: Crops | None = None) -> str:
    """Return the key that identifies a recording's crops by content.

    Raises:
        FileNotFoundError: the file does not exist.
    """
    how = crops or (config.crop_s, config.min_crop_s, config.crops_per_recording, config.silence_db)
    parts = (
        recording.content or _digest(recording.uri),
        recording.voice,
        recording.accompaniment,
        how,
        config.sample_rate_hz,
    )
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=12).hexdigest()


def _digest(uri: str) -> str:
    fs, path = open_filesystem(uri)
    digest = hashlib.blake2b(digest_size=16)
    with fs.open_input_stream(path) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def condition_key(name: str, config: EvaluateConfig) -> str:
    """Return a condition's name in the table; for separated vocals it includes the separator."""
    return f"{name} by {config.separator}" if conditions.parse(name).base == "separated" else name


def pending(
    workspace: Workspace,
    keyed: Sequence[tuple[str, Recording, Crops | None]],
    encoder_ids: dict[str, str],
    names: Sequence[str],
    config: EvaluateConfig,
) -> pa.Table:
    """Return recordings that lack vectors of some encoder (name -> id) or condition, as rows for `Embedding`.

    Recordings that have failed at the same work before are left out, unless `retry_failed` is set, as in every stage.
    """
    there, failed = _there(workspace), tables.failed_keys(workspace, "evaluate")
    rows = []
    for key, recording, crops in keyed:
        wanted = tuple(
            (encoder, name)
            for name in names
            for encoder, encoder_id in encoder_ids.items()
            if (key, condition_key(name, config), encoder_id) not in there
        )
        row_key = batch_name(
            [key, *(f"{encoder_ids[encoder]} {condition_key(name, config)}" for encoder, name in wanted)]
        )
        if wanted and row_key not in failed:
            job = Job(key, recording.uri, recording.voice, recording.accompaniment, crops, wanted)
            rows.append({"key": row_key, "uri": recording.uri, "job": json.dumps(asdict(job))})
    return pa.Table.from_pylist(rows, schema=PENDING)


def _there(workspace: Workspace) -> set[tuple[str, str, str]]:
    columns = ["recording_key", "condition", "encoder_id"]
    table = _read(workspace, columns).group_by(columns).aggregate([])
    return set(zip(*(table[name].to_pylist() for name in columns), strict=True))


def _read(workspace: Workspace, columns: Sequence[str], where: pc.Expression | None = None) -> pa.Table:
    parts = [workspace.path(name) for name in workspace.list(FOLDER, suffix=".parquet")]
    return parquet.select(workspace.fs, parts, SCHEMA, columns, where)


def crops_of(workspace: Workspace, keys: Iterable[str]) -> pd.DataFrame:
    """Return the crops of recordings: `recording_key`, `crop`, `start_s`, `end_s`, sorted."""
    columns = ["recording_key", "crop", "start_s", "end_s"]
    table = _read(workspace, columns, pc.field("recording_key").isin(list(keys)))
    return table.to_pandas().drop_duplicates(["recording_key", "crop"]).sort_values(["recording_key", "crop"])


def vectors_of(workspace: Workspace, crops: pd.DataFrame, condition: str, encoder_id: str) -> NDArray[np.float32]:
    """Return embeddings (n, d) of `crops` (columns `recording_key`, `crop`), row for row; NaN where there is none."""
    where = (pc.field("condition") == condition) & (pc.field("encoder_id") == encoder_id)
    where = where & pc.field("recording_key").isin(crops["recording_key"].unique().tolist())
    table = _read(workspace, ["recording_key", "crop", "embedding"], where)
    table = table.filter(pc.is_valid(table["embedding"]))
    if not len(table):
        return np.full((len(crops), 1), np.nan, np.float32)
    flat = pa.concat_arrays([chunk.flatten() for chunk in table["embedding"].chunks]).to_numpy(zero_copy_only=False)
    # Crops without a vector get the last row.
    vectors = np.vstack([flat.reshape(len(table), -1), np.full((1, len(flat) // len(table)), np.nan, np.float32)])
    place = {
        pair: i
        for i, pair in enumerate(zip(table["recording_key"].to_pylist(), table["crop"].to_pylist(), strict=True))
    }
    wanted = zip(crops["recording_key"], crops["crop"], strict=True)
    return vectors[[place.get(pair, len(table)) for pair in wanted]].astype(np.float32)


def job_of(text: str) -> Job:
    """Return the job in a row of `pending`."""
    data = json.loads(text)
    crops = tuple((start, end) for start, end in data["crops"]) if data["crops"] else None
    wanted = tuple((encoder, name) for encoder, name in data["wanted"])
    return Job(data["recording_key"], data["uri"], tuple(data["voice"]), tuple(data["accompaniment"]), crops, wanted)
