import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import ray

from encoder import Encoder, checkpoint
from encoder.config import preset
from jobs import run
from pipeline.config import STAGES
from pipeline.store import lock, tables
from pipeline.store.errors import ConfigError
from pipeline.store.workspace import Workspace

ROOT = Path(__file__).parents[2]
KILLED_IN = ("scan", "separate", "shard", "embed", "cluster", "tag")
KEYS = {
    "files": "uri",
    "tracks": "track_id",
    "vocals": "track_id",
    "clips": "clip_id",
    "embeddings": "clip_id",
    "voices": "track_id",
    "clusters": "track_id",
    "tags": "track_id",
    "failures": "key",
}


def test_every_stage_has_an_entry_point():
    assert set(run.STAGES) == set(STAGES)


def test_the_chain_writes_every_table_and_records_every_stage(chain, chain_workspace):
    for table in KEYS:
        assert tables.parts(chain_workspace, table), table
    runs = tables.read(chain_workspace, "runs")
    # Other tests try what the same workspace refuses, which is recorded too.
    assert set(runs.loc[runs["status"] == "ok", "stage"]) >= set(chain.stages)
    assert not list(Path(chain_workspace.base).rglob(".tmp-*"))


def test_the_tables_join_in_plain_pandas(chain_workspace):
    tags = pd.read_parquet(chain_workspace.path("tags"))
    tracks = pd.read_parquet(chain_workspace.path("tracks"))
    joined = tags.merge(tracks, on="track_id", validate="one_to_one")
    assert len(joined) == len(tags) > 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"known": "nowhere.csv", "separate": {"separator": "spleeter"}}, "cannot read the known names nowhere.csv"),
        ({"separate": {"separator": "spleeter"}, "embed": {"encoder": "nowhere"}}, "embed.encoder=nowhere"),
        ({"separate": {"separator": "./nowhere"}}, "separate.separator"),
    ],
)
def test_what_a_run_needs_at_its_end_is_checked_before_it_begins(make_config, settings, words):
    config = make_config(catalogue="nowhere-either", **settings)
    with pytest.raises(ConfigError, match=words):
        run.run_stages(config)
    assert not Path(config.workspace, "tracks").exists()


def run_and_signal(config_path: Path, stage: str, number: int) -> tuple[int, str]:
    """Run the chain on the Ray that the tests share, as a submitted job does, and signal the driver in that stage.

    Returns:
        Its exit status and what it wrote to standard error.
    """
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "jobs.run", str(config_path)],
        cwd=ROOT,
        env=os.environ | {"RAY_ADDRESS": ray.get_runtime_context().gcs_address},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    for line in process.stdout:
        if line.split()[:1] == [stage]:
            process.send_signal(number)
            break
    return process.wait(60), process.communicate()[1]


def rows(workspace: Workspace, table: str) -> pd.DataFrame:
    """Return a table sorted by its key, without vectors, audio, times and locations in the workspace."""
    frame = tables.read(workspace, table).sort_values(KEYS[table]).reset_index(drop=True)
    return frame.drop(columns=["embedding", "audio", "failed_at", "vocals_uri"], errors="ignore")


@pytest.mark.slow
def test_a_driver_killed_or_interrupted_in_every_stage_loses_and_duplicates_nothing(
    ray_cluster, chain_config, tmp_path
):
    checkpoint.save(Encoder(preset("tiny")).eval(), tmp_path / "encoder", {}, "untrained")
    settings = {"stages": list(KILLED_IN), "embed": {"encoder": str(tmp_path / "encoder")}}
    calm, killed = (chain_config(tmp_path / name, **settings) for name in ("calm", "killed"))
    assert run.run_stages(calm) == 0
    (tmp_path / "killed.yaml").write_text(killed.to_yaml())
    for stage in KILLED_IN:
        if stage == "separate":
            assert run_and_signal(tmp_path / "killed.yaml", stage, signal.SIGINT) == (
                130,
                "interrupted: the same command continues where this one stopped\n",
            )
            assert lock.claims(Workspace(killed.workspace)) == []
        assert run_and_signal(tmp_path / "killed.yaml", stage, signal.SIGKILL)[0] == -signal.SIGKILL
    assert run.run_stages(killed) == 0
    for table, key in KEYS.items():
        left, right = rows(Workspace(calm.workspace), table), rows(Workspace(killed.workspace), table)
        assert left[key].is_unique
        pd.testing.assert_frame_equal(left, right, atol=0.02, rtol=0.02, obj=table)
    _, calm_voices = tables.read_voices(calm.workspace)
    assert np.isfinite(calm_voices).all()
    assert not list(Path(killed.workspace).rglob(".tmp-*.parquet"))
