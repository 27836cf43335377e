import numpy as np
import pandas as pd

from encoder import Encoder, checkpoint
from encoder.config import preset
from jobs import embed, engine
from jobs.run import run_stages
from pipeline.store import tables
from pipeline.store.workspace import Workspace


def test_every_clip_and_every_track_has_a_unit_vector(chain_workspace):
    frame, vectors = tables.read_embeddings(chain_workspace)
    assert set(frame["clip_id"]) == tables.keys(chain_workspace, "clips", "clip_id")
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-2)
    voices, pooled = tables.read_voices(chain_workspace)
    assert set(voices["track_id"]) == set(frame["track_id"])
    assert voices["track_id"].is_unique
    assert voices["n_clips"].sum() == len(frame)
    assert voices["encoder_id"].nunique() == 1
    np.testing.assert_allclose(np.linalg.norm(pooled, axis=1), 1, atol=1e-5)


def test_pandas_reads_the_vectors_without_our_code(chain_workspace):
    frame = pd.read_parquet(chain_workspace.path("voices"))
    assert np.stack(frame["embedding"].to_numpy()).shape == (len(frame), 64)


def test_a_second_run_embeds_nothing(chain, capsys):
    assert engine.execute(embed.STAGE, chain) == 0
    said = capsys.readouterr().out
    assert "0 shards to do, 1 done before" in said
    assert "0 clips done, 1 shard skipped, 0 failed" in said


def test_another_encoder_is_refused_in_a_finished_workspace(chain, chain_config, chain_workspace, tmp_path, capsys):
    checkpoint.save(Encoder(preset("tiny")).eval(), tmp_path / "other", {}, "untrained")
    other = chain_config(chain.workspace, embed={"encoder": str(tmp_path / "other")})
    assert engine.guarded(lambda: engine.execute(embed.STAGE, other)) == 2
    assert "encoder_id:" in capsys.readouterr().err


def test_an_encoder_with_a_higher_sample_rate_than_the_clips_is_refused_at_once(chain_config, tmp_path, capsys):
    checkpoint.save(Encoder(preset("tiny")).eval(), tmp_path / "wide", {}, "untrained")
    settings = {"embed": {"encoder": str(tmp_path / "wide")}, "shard": {"sample_rate_hz": 16000}}
    config = chain_config(tmp_path / "workspace", stages=["scan", "separate", "shard", "embed"], **settings)
    assert engine.guarded(lambda: run_stages(config)) == 2
    assert "set shard.sample_rate_hz=44100" in capsys.readouterr().err
    assert not tables.parts(Workspace(config.workspace), "tracks")
