import io

import soundfile

from jobs import engine, shard
from pipeline.store import tables


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


def test_other_settings_are_refused_in_a_workspace_that_is_made(chain, chain_config, capsys):
    other = chain_config(chain.workspace, shard={**chain.shard.model_dump(), "max_s": 20})
    assert engine.guarded(lambda: engine.execute(shard.STAGE, other)) == 2
    assert "shard.max_s: 10.0 there, 20.0 here" in capsys.readouterr().err
