from jobs import engine, scan
from pipeline.demo import truth
from pipeline.store import tables


def test_every_readable_file_is_a_track_and_every_other_a_failure(chain, chain_workspace, chain_truth):
    found = truth.outcomes(chain_workspace, chain_truth).set_index("file")
    unreadable = found[found["expected"] == "unreadable"]
    assert len(unreadable) == 2
    assert set(unreadable["found"]) == {"unreadable"}
    assert all(len(message) > 10 for message in unreadable["message"])
    readable = found[found["expected"] != "unreadable"]
    assert readable["track_id"].notna().all()
    assert (
        readable.loc[readable["expected"] == "duplicate", "track_id"]
        .isin(readable.loc[readable["kind"] == "song", "track_id"])
        .all()
    )
    tracks = tables.read(chain_workspace, "tracks")
    assert tracks["n_files"].value_counts().to_dict() == {1: len(tracks) - 1, 2: 1}
    assert tracks["artist"].notna().any()


def test_a_second_scan_reads_no_file_again(chain, capsys):
    assert engine.execute(scan.STAGE, chain) == 0
    assert "0 files done, 17 skipped, 0 failed" in capsys.readouterr().out


def test_a_run_without_a_catalogue_says_what_to_set(make_config, capsys):
    assert engine.guarded(lambda: engine.execute(scan.STAGE, make_config())) == 2
    assert "catalogue=/path/to/music" in capsys.readouterr().err


def test_known_names_are_read_before_any_audio_file(make_config, tmp_path, capsys):
    (tmp_path / "a.mp3").write_bytes(b"not read")
    (tmp_path / "known.csv").write_text("track,vocalist\na.mp3,voice-0001\n")
    config = make_config(catalogue=str(tmp_path), known=str(tmp_path / "known.csv"))
    assert engine.guarded(lambda: engine.execute(scan.STAGE, config)) == 2
    assert "line 2 (voice-0001)" in capsys.readouterr().err
