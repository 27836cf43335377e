"""The separate worker, without Ray: each track of a batch ends as vocals or as a failure, once."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import soundfile
import torch

from pipeline.demo import encode
from pipeline.demo.mix import perform
from pipeline.demo.singer import draw_singers
from pipeline.sections import ExcerptsConfig, SeparateConfig
from pipeline.sound.excerpt import planned
from pipeline.sound.vocals_file import vocals_name
from pipeline.stages.separate import SeparateWorker, pending
from pipeline.store import tables
from pipeline.store.errors import WorkspaceError
from pipeline.store.ledger import Ledger

RATE = 44100


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write three sung songs, accompaniment alone, silence, a very short file and a text."""
    folder = tmp_path_factory.mktemp("music")
    generator = np.random.default_rng(3)
    singers = draw_singers(["ann", "bob", "cyd"], generator)
    for name, singing in (
        ("ann.flac", singers[:1]),
        ("bob.mp3", singers[1:2]),
        ("cyd.wav", singers[2:]),
        ("band.flac", []),
    ):
        recording = perform(singing, 6.0, "strings", RATE, generator)
        encode.write(folder / name, encode.Audio(recording.mix, RATE))
    soundfile.write(folder / "silence.wav", np.zeros((3 * RATE, 2)), RATE)
    soundfile.write(folder / "blink.wav", np.full((RATE // 2, 2), 0.1), RATE)
    (folder / "text.mp3").write_text("la la la")
    return folder


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory):
    """One worker for all tests: loading its network takes longer than what they do with it."""
    found = SeparateWorker(str(tmp_path_factory.mktemp("unused")), SeparateConfig(separator="spleeter"))
    yield found
    found.decoder.close()


@pytest.fixture
def worker(loaded, workspace):
    """Return the worker, at work for this test's own workspace."""
    loaded.workspace, loaded.config = workspace, SeparateConfig(separator="spleeter")
    return loaded


def batch(*paths: Path) -> pa.Table:
    return pa.Table.from_pylist([{"track_id": track_id(path), "uri": str(path)} for path in paths])


def track_id(path: Path) -> str:
    return path.name.encode().hex().ljust(32, "0")[:32]


def ages(workspace) -> dict[str, int]:
    return {
        path.name: path.stat().st_mtime_ns for path in Path(workspace.path("vocals_audio")).rglob("*") if path.is_file()
    }


def test_every_track_of_a_batch_ends_as_vocals_or_as_a_failure(worker, workspace, music):
    paths = [*sorted(music.iterdir()), music / "gone.ogg"]
    outcomes = worker(batch(*paths)).to_pandas().set_index("key")
    vocals = tables.read(workspace, "vocals").set_index("track_id")
    failures = tables.read(workspace, "failures").set_index("track_id")
    assert set(outcomes.index) == {track_id(path) for path in paths}
    done = outcomes["status"] == "done"
    assert (outcomes.loc[done, "audio_s"] > 1).all() and outcomes.loc[~done, "audio_s"].isna().all()
    found = {
        path.name: failures.loc[track_id(path), "error"]
        if track_id(path) in failures.index
        else ("instrumental", "vocals")[int(vocals.loc[track_id(path), "has_vocals"])]
        for path in paths
    }
    assert found == {
        "ann.flac": "vocals",
        "bob.mp3": "vocals",
        "cyd.wav": "vocals",
        "band.flac": "instrumental",
        "silence.wav": "silent",
        "blink.wav": "too_short",
        "text.mp3": "decode",
        "gone.ogg": "missing",
    }
    row = vocals.loc[track_id(music / "ann.flac")]
    info, mix = soundfile.info(row["vocals_uri"]), soundfile.info(music / "ann.flac")
    assert (info.samplerate, info.channels, info.subtype, info.frames) == (RATE, 1, "PCM_16", mix.frames)
    assert row["separator"] == "spleeter"
    assert 0 < row["voiced_s"] <= row["duration_s"] == pytest.approx(mix.duration)
    assert row["vocal_ratio"] == pytest.approx(row["voiced_s"] / row["duration_s"])
    assert -20 < row["vocals_db"] < 3
    assert pd.isna(vocals.loc[track_id(music / "band.flac"), "vocals_uri"])
    assert len(ages(workspace)) == 3
    assert all(failures["uri"].str.startswith(str(music)))
    assert not list(Path(workspace.path("_in_work")).rglob("*.flac"))


def test_separated_tracks_are_not_separated_again_even_if_their_row_is_missing(worker, workspace, music):
    tracks = batch(music / "ann.flac", music / "band.flac")
    worker(tracks)
    rows, before = tables.read(workspace, "vocals"), ages(workspace)
    instrumental = workspace.path(tables.waiting_name("vocals", f"instrumental-{track_id(music / 'band.flac')}"))
    written_at = Path(instrumental).stat().st_mtime_ns
    for name in tables.parts(workspace, "vocals"):
        if "instrumental" not in name:
            workspace.delete(name)  # as if the worker had died before its batch was committed
    outcomes = worker(tracks).to_pandas()
    assert list(outcomes["status"]) == ["done", "done"]
    assert ages(workspace) == before
    assert Path(instrumental).stat().st_mtime_ns == written_at
    again = tables.read(workspace, "vocals")
    assert again.sort_values("track_id").to_dict("records") == rows.sort_values("track_id").to_dict("records")


def test_only_excerpts_are_processed_unless_nobody_sings_in_them(worker, workspace, music, tmp_path):
    songs = {"ann": (music / "ann.flac", 4), "band": (music / "band.flac", 4), "short": (music / "cyd.wav", 1)}
    tracks = []
    for name, (source, times) in songs.items():
        wave = np.tile(soundfile.read(source)[0], (times, 1))
        path = tmp_path / f"{name}.flac"
        soundfile.write(path, wave, RATE)
        tracks.append({"track_id": track_id(path), "uri": str(path), "duration_s": len(wave) / RATE})
    late = tmp_path / "late.flac"  # sung, but not in any excerpt
    wave = np.concatenate([np.zeros((10 * RATE, 2)), soundfile.read(music / "bob.mp3")[0], np.zeros((10 * RATE, 2))])
    soundfile.write(late, wave, RATE)
    tracks.append({"track_id": track_id(late), "uri": str(late), "duration_s": len(wave) / RATE})
    worker.config = worker.config.model_copy(update={"excerpts": ExcerptsConfig(count=2, seconds=5)})
    outcomes = worker(pa.Table.from_pylist(tracks))
    assert outcomes["status"].to_pylist() == ["done"] * 4
    rows = tables.read(workspace, "vocals").set_index("track_id")
    found = {path.name: rows.loc[track_id(path)] for path in tmp_path.glob("*.flac")}
    assert {name: bool(row["has_vocals"]) for name, row in found.items()} == {
        "ann.flac": True,
        "band.flac": False,
        "short.flac": True,
        "late.flac": True,
    }
    ann = found["ann.flac"]
    length_s = tracks[0]["duration_s"]
    parts = planned(length_s, worker.config.excerpts)
    assert [(part["start_s"], part["end_s"]) for part in ann["excerpts"]] == parts
    assert (ann["duration_s"], ann["heard_s"]) == pytest.approx((length_s, 10.0), abs=0.01)
    assert 0 < ann["voiced_s"] <= 10
    for name in ("band.flac", "short.flac", "late.flac"):
        assert found[name]["excerpts"] is None
        assert found[name]["heard_s"] == found[name]["duration_s"]
    vocals, _ = soundfile.read(ann["vocals_uri"])
    mix, _ = soundfile.read(tmp_path / "ann.flac")
    heard = np.concatenate([np.arange(round(start_s * RATE), round(end_s * RATE)) for start_s, end_s in parts])
    assert not np.delete(vocals, heard[heard < len(vocals)]).any()
    assert np.corrcoef(vocals[heard], mix[heard].mean(1))[0, 1] > 0.5  # each at its time


def test_vocals_of_other_settings_are_replaced(worker, workspace, music):
    worker(batch(music / "ann.flac"))
    before = ages(workspace)
    other = SeparateWorker(workspace.root, SeparateConfig(separator="spleeter", precision="fp32", min_s=2))
    other(batch(music / "ann.flac"))
    other.decoder.close()
    assert ages(workspace) != before


def test_a_track_that_kills_workers_is_retried_alone_and_then_fails(worker, workspace, music):
    ann, bob, cyd = (track_id(music / name) for name in ("ann.flac", "bob.mp3", "cyd.wav"))
    tracks = batch(*(music / name for name in ("cyd.wav", "bob.mp3", "ann.flac")))
    for key in (ann, ann, bob, bob, bob, bob):
        ledger = Ledger(workspace, "separate", "vocals")
        ledger.survivors(tracks.to_pylist(), "track_id")
        ledger.item(key).__enter__()  # never left
    outcomes = worker(tracks).to_pandas()
    assert outcomes.set_index("key")["status"].to_dict() == {ann: "done", bob: "failed", cyd: "done"}
    assert list(outcomes["key"]) == [bob, cyd, ann]
    assert tables.read(workspace, "failures")["error"].to_list() == ["crashed"]


def test_a_track_whose_vocals_are_not_finite_is_a_failure_only(workspace, music):
    broken = SeparateWorker(workspace.root, SeparateConfig(separator="spleeter"))
    with torch.no_grad():
        next(broken.separator.vocals.parameters()).fill_(float("nan"))
    broken(batch(music / "ann.flac", music / "band.flac"))
    broken.decoder.close()
    assert tables.read(workspace, "vocals").empty
    failures = tables.read(workspace, "failures")
    assert failures["error"].to_list() == ["separator", "separator"]
    assert ages(workspace) == {}


def test_a_full_disk_ends_the_run_and_leaves_no_partial_file(worker, workspace, music):
    import resource
    import signal

    handler, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
    try:
        with pytest.raises(WorkspaceError, match="continues where it stopped"):
            worker(batch(music / "ann.flac", music / "cyd.wav"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert ages(workspace) == {}
    assert tables.read(workspace, "failures").empty
    worker(batch(music / "ann.flac", music / "cyd.wav"))
    assert len(ages(workspace)) == 2


def test_tracks_without_vocals_or_failure_are_pending(workspace):
    tables.replace(workspace, "tracks", [{"track_id": key, "uri": f"/{key}"} for key in "dcba"])
    tables.write(workspace, "vocals", [{"track_id": "a"}], "x")
    tables.write(workspace, "failures", [{"stage": "separate", "key": "b"}, {"stage": "scan", "key": "c"}], "x")
    todo, done = pending(workspace)
    assert todo.select(["track_id", "uri", "found"]).to_pylist() == [
        {"track_id": key, "uri": f"/{key}", "found": False} for key in "cd"
    ]
    assert done == 2
    workspace.write_bytes(vocals_name("d"), b"sound")
    assert pending(workspace)[0]["found"].to_pylist() == [False, True]


def test_files_are_distributed_over_folders():
    assert vocals_name("ab12") == "vocals_audio/ab/ab12.flac"
