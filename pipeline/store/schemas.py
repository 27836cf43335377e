"""The schema of every table, which rows are brought into; docs/tables.md says what the columns mean."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa

Rows: TypeAlias = Iterable[dict[str, Any]] | pd.DataFrame | pa.Table

TIME = pa.timestamp("us", tz="UTC")
FLOAT, TEXT = pa.float64(), pa.string()


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


SCHEMAS = {
    # One row per audio file that scan has seen; two files of one track are two rows here.
    "files": _schema(
        uri=TEXT,
        track_id=TEXT,
        size_bytes=pa.int64(),
        modified_at=TIME,
        artist=TEXT,
        title=TEXT,
        album=TEXT,
        duration_s=FLOAT,
        sample_rate_hz=pa.int32(),
        channels=pa.int32(),
        codec=TEXT,
        note=TEXT,
    ),
    "tracks": _schema(
        track_id=TEXT,
        uri=TEXT,
        artist=TEXT,
        title=TEXT,
        album=TEXT,
        duration_s=FLOAT,
        sample_rate_hz=pa.int32(),
        channels=pa.int32(),
        codec=TEXT,
        n_files=pa.int32(),
        note=TEXT,
    ),
    "vocals": _schema(
        track_id=TEXT,
        vocals_uri=TEXT,
        separator=TEXT,
        duration_s=FLOAT,
        sample_rate_hz=pa.int32(),
        heard_s=FLOAT,
        excerpts=pa.list_(pa.struct([("start_s", FLOAT), ("end_s", FLOAT)])),
        voiced_s=FLOAT,
        vocal_ratio=FLOAT,
        vocals_db=FLOAT,
        has_vocals=pa.bool_(),
    ),
    "clips": _schema(
        clip_id=TEXT,
        track_id=TEXT,
        start_s=FLOAT,
        end_s=FLOAT,
        sample_rate_hz=pa.int32(),
        audio=pa.binary(),
        pair_audio=pa.binary(),
    ),
    "shards": _schema(track_id=TEXT, shard=TEXT, n_clips=pa.int32()),
    "embeddings": _schema(
        clip_id=TEXT, track_id=TEXT, start_s=FLOAT, end_s=FLOAT, encoder_id=TEXT, embedding=pa.list_(pa.float32())
    ),
    "voices": _schema(
        track_id=TEXT, encoder_id=TEXT, n_clips=pa.int32(), spread=FLOAT, embedding=pa.list_(pa.float32())
    ),
    "clusters": _schema(
        track_id=TEXT,
        cluster_id=pa.int32(),
        voice=TEXT,
        probability=FLOAT,
        outlier_score=FLOAT,
        x=FLOAT,
        y=FLOAT,
        same_recording=TEXT,
    ),
    # Whose name each track bore and when, over all clusterings; and what changed from one to the next.
    "voice_tracks": _schema(track_id=TEXT, voice=TEXT, since=TIME, until=TIME),
    "voice_changes": _schema(changed_at=TIME, change=TEXT, voice=TEXT, other=TEXT, n_tracks=pa.int32()),
    "tags": _schema(
        track_id=TEXT,
        uri=TEXT,
        title=TEXT,
        vocalist=TEXT,
        score=FLOAT,
        probability=FLOAT,
        source=TEXT,
        doubt=TEXT,
        file_artist=TEXT,
        credit_probability=FLOAT,
        disagrees=pa.bool_(),
        same_recording=TEXT,
    ),
    "candidates": _schema(track_id=TEXT, rank=pa.int32(), vocalist=TEXT, probability=FLOAT, score=FLOAT),
    "review": _schema(
        track_id=TEXT,
        rank=pa.int32(),
        uri=TEXT,
        title=TEXT,
        file_artist=TEXT,
        reason=TEXT,
        settles=FLOAT,
        n_tracks=pa.int32(),
        candidates=pa.list_(TEXT),
        probabilities=pa.list_(FLOAT),
        start_s=FLOAT,
    ),
    "conditioning": _schema(
        vocalist=TEXT,
        encoder_id=TEXT,
        source=TEXT,
        n_tracks=pa.int32(),
        n_left_out=pa.int32(),
        n_clips=pa.int32(),
        clips_s=FLOAT,
        spread=FLOAT,
        embedding=pa.list_(pa.float32()),
    ),
    "evaluation": _schema(
        encoder=TEXT, set=TEXT, task=TEXT, condition=TEXT, metric=TEXT, value=FLOAT, low=FLOAT, high=FLOAT, n=pa.int64()
    ),
    "failures": _schema(stage=TEXT, key=TEXT, track_id=TEXT, uri=TEXT, error=TEXT, message=TEXT, failed_at=TIME),
    "runs": _schema(
        run_id=TEXT,
        stage=TEXT,
        started_at=TIME,
        seconds=FLOAT,
        status=TEXT,
        fingerprint=TEXT,
        done=pa.int64(),
        unit=TEXT,
        skipped=pa.int64(),
        failed=pa.int64(),
        config=TEXT,
        versions=TEXT,
        host=TEXT,
        message=TEXT,
    ),
}


def to_arrow(table: str, rows: Rows) -> pa.Table:
    """Return rows with all columns of the table's schema, and embeddings as fixed-size lists.

    Raises:
        KeyError: a row has a column that is not in the schema.
    """
    schema = SCHEMAS[table]
    if isinstance(rows, pd.DataFrame):
        rows = pa.Table.from_pandas(rows, preserve_index=False)
    elif not isinstance(rows, pa.Table):
        rows = list(rows)
    names = rows.column_names if isinstance(rows, pa.Table) else {name for row in rows for name in row}
    unknown = set(names) - set(schema.names)
    if unknown:
        raise KeyError(f"{table} has no column {', '.join(sorted(unknown))}")
    if not len(rows):  # pandas knows no types without rows
        return schema.empty_table()
    found = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows, schema=schema)
    if "embedding" in found.column_names and len(found):
        dim = len(found["embedding"][0].as_py())
        at = schema.get_field_index("embedding")
        schema = schema.set(at, pa.field("embedding", pa.list_(pa.float32(), dim)))
    columns = [
        found[field.name].cast(field.type) if field.name in found.column_names else pa.nulls(len(found), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
