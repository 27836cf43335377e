from pathlib import Path

from jobs import engine, separate
from pipeline.demo import truth
from pipeline.store import tables


def test_every_track_ends_as_vocals_or_as_a_failure(chain_workspace, chain_truth):
    found = truth.outcomes(chain_workspace, chain_truth)
    wrong = found[(found["found"] != found["expected"]) & ~found["expected"].isin(["duplicate"])]
    assert wrong[["file", "expected", "found"]].to_numpy().tolist() == []


def test_vocals_are_flac_files_as_long_as_their_track(chain_workspace):
    vocals = tables.read(chain_workspace, "vocals").merge(
        tables.read(chain_workspace, "tracks", ["track_id", "duration_s"]), on="track_id", suffixes=("", "_of_track")
    )
    sung = vocals[vocals["has_vocals"]]
    assert len(sung) >= 9
    assert all(Path(uri).read_bytes()[:4] == b"fLaC" for uri in sung["vocals_uri"])
    assert (sung["duration_s"] - sung["duration_s_of_track"]).abs().max() < 0.2
    assert sung["vocal_ratio"].between(0, 1).all()


def test_separated_tracks_are_not_separated_again(chain, capsys):
    assert engine.execute(separate.STAGE, chain) == 0
    assert "0 tracks to do" in capsys.readouterr().out


def test_it_says_which_stage_comes_first(make_config, capsys):
    assert engine.guarded(lambda: engine.execute(separate.STAGE, make_config())) == 2
    assert "run the scan stage first" in capsys.readouterr().err
