import io
from pathlib import Path

import soundfile

from jobs import engine, shard
from jobs.run import run_stages
from pipeline.store import shards, tables
from pipeline.store.workspace import Workspace


def test_clips_hold_the_voiced_stretches_as_flac(chain, chain_workspace):
    clips = tables.read(chain_workspace, "clips")
    vocals = tables.read(chain_workspace, "vocals")
    assert set(clips["track_id"]) <= set(vocals.loc[vocals["has_vocals"], "track_id"])
    assert clips["clip_id"].is_unique
    lengths = clips["end_s"] - clips["start_s"]
    assert lengths.between(chain.shard.min_s - 0.11, chain.shard.max_s + 0.01).all()
    info = soundfile.info(io.BytesIO(clips["audio"][0]))
    assert (info.format, info.samplerate, info.channels) == ("FLAC", chain.shard.sample_rate_hz, 1)


def test_a_second_run_adds_nothing(chain, chain_workspace, capsys):
    before = tables.parts(chain_workspace, "clips")
    assert engine.execute(shard.STAGE, chain) == 0
    assert "0 tracks to do" in capsys.readouterr().out
    assert tables.parts(chain_workspace, "clips") == before


def test_vocals_are_removed_if_not_kept_and_later_stages_do_without(ray_cluster, chain_config, tmp_path, capsys):
    stages = ["scan", "separate", "shard"]
    config = chain_config(tmp_path / "workspace", stages=stages, keep_vocals=False)
    workspace = Workspace(config.workspace)
    assert run_stages(config) == 0
    cut, clips = set(shards.contents(workspace)["track_id"].to_pylist()), tables.parts(workspace, "clips")
    assert cut
    assert not cut & {Path(name).stem for name in workspace.list_all("vocals_audio")}
    assert f"the vocals of {len(cut)} tracks removed" in capsys.readouterr().out
    assert run_stages(config) == 0
    assert tables.parts(workspace, "clips") == clips
    assert capsys.readouterr().out.count("0 tracks to do") == 2


def test_pairs_need_the_vocals_to_be_kept(make_config, capsys):
    config = make_config(keep_vocals=False, shard={"pairs": True})
    assert engine.guarded(lambda: shard.check(config)) == 2
    assert "keep_vocals" in capsys.readouterr().err


def test_other_settings_are_refused_in_a_finished_workspace(chain, chain_config, capsys):
    other = chain_config(chain.workspace, shard={**chain.shard.model_dump(), "max_s": 20})
    assert engine.guarded(lambda: engine.execute(shard.STAGE, other)) == 2
    assert "shard.max_s: 10.0 there, 20.0 here" in capsys.readouterr().err
