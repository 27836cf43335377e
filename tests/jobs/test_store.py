"""The whole chain on an object store, with keys as people have them, gives the results of the same chain on a disk."""

from pathlib import Path

import pandas as pd
import pytest

from jobs import engine, run
from pipeline.store import tables
from pipeline.store.workspace import Workspace

KEYS = {"vocals": "track_id", "shards": "track_id", "clips": "clip_id", "embeddings": "clip_id", "voices": "track_id"}
ODD = [" #1", " 50 %", "%20", " [2001]", ' "so"', " why?", " é", "日本", "+&=;"]


def put(object_store, folder: Path) -> dict[str, str]:
    """Copy a catalogue into a new bucket under unusual keys; return the name of each file by its URI there."""
    bucket, names = object_store.bucket(), {}
    for i, path in enumerate(sorted(folder.rglob("*"))):
        if path.is_file() and path.suffix != ".csv":
            key = f"music/al bum{ODD[i % len(ODD)]}/{path.stem}{ODD[-i % len(ODD)]}{path.suffix}"
            with object_store.client().open_output_stream(f"{bucket[5:]}/{key}") as sink:
                sink.write(path.read_bytes())
            names[f"{bucket}/{key}"] = path.name
    return names


def rows(workspace: Workspace, table: str) -> pd.DataFrame:
    """Return a table sorted by its key, without vectors, audio and locations."""
    frame = tables.read(workspace, table).sort_values(KEYS[table]).reset_index(drop=True)
    return frame.drop(columns=["embedding", "audio", "vocals_uri", "encoder_id", "shard"], errors="ignore")


@pytest.mark.timeout(600)
def test_the_chain_gives_the_same_results_on_a_store_as_on_a_disk(
    object_store, chain_workspace, chain_config, catalogue
):
    names = put(object_store, catalogue)
    bucket = next(iter(names)).partition("/music/")[0]
    encoder = next(name for name in Path(chain_workspace.path("encoders")).iterdir() if not name.name.startswith("_"))
    config = chain_config(
        f"{bucket}/work space #1", catalogue=f"{bucket}/music", known=None, embed={"encoder": str(encoder)}
    )
    workspace, spent = Workspace(config.workspace), {}
    for stage in ("scan", "separate", "shard", "embed"):
        object_store.forget()
        assert engine.execute(run.STAGES[stage], config) == 0
        spent[stage] = object_store.kinds("/music/")["GET"]

    files = tables.read(workspace, "files")
    failures = tables.read(workspace, "failures")
    assert set(files["uri"]) | set(failures.loc[failures["stage"] == "scan", "uri"]) == set(names)
    assert files["track_id"].map(tables.read(chain_workspace, "files").groupby("track_id").size()).notna().all()
    for table in KEYS:
        pd.testing.assert_frame_equal(rows(workspace, table), rows(chain_workspace, table), atol=0.02, obj=table)
    n_tracks, n_clips = len(tables.read(workspace, "tracks")), tables.read(workspace, "clips")["track_id"].nunique()
    assert spent["scan"] <= len(names)
    assert n_clips <= spent["separate"] <= n_tracks
    assert n_clips <= spent["shard"] <= n_tracks
    assert spent["embed"] == 0
    assert not workspace.list_all(tables.WAITING)
    for table in ("files", "vocals", "voices"):
        assert len(tables.parts(workspace, table)) <= 2

    object_store.forget()
    for stage in spent:
        assert engine.execute(run.STAGES[stage], config) == 0
    assert not object_store.kinds("/music/")["GET"]
    assert not object_store.kinds("_in_work/parts/")["PUT"]
