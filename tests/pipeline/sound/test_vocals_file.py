import resource
import signal

import numpy as np
import pytest
import soundfile

from pipeline.sound.excerpt import Excerpt
from pipeline.sound.vocals_file import VocalsFile, read_row, vocals_name
from pipeline.store.errors import Problem, WorkspaceError

RATE = 44100


def loud(n: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, n).astype(np.float32)


def written(path, wave: np.ndarray) -> VocalsFile:
    file = VocalsFile(path, RATE)
    for block in np.array_split(wave, 3):
        file.meter.add_mix(block)
        file.meter.add_vocals(block)
        file.write(block)
    return file


def test_a_finished_file_contains_its_row(tmp_path, workspace):
    wave = loud(2 * RATE)
    file = written(tmp_path / "a.flac", wave)
    row = file.row("ab01", "spleeter")
    file.finish(row, "f1")
    workspace.put_file(file.path, vocals_name("ab01"))
    assert read_row(workspace, "ab01", "f1") == row | {"vocals_uri": workspace.uri("vocals_audio/ab/ab01.flac")}
    assert row["voiced_s"] == pytest.approx(2)
    assert read_row(workspace, "ab01", "another fingerprint") is None
    assert read_row(workspace, "ab02", "f1") is None
    samples, rate = soundfile.read(workspace.path(vocals_name("ab01")), dtype="float32")
    assert rate == RATE
    assert np.abs(samples - wave).max() <= 1.01 / 2**16 * 2


def test_between_excerpts_the_file_is_silent_so_that_times_are_the_tracks(tmp_path):
    wave, excerpts = loud(2 * RATE), [Excerpt(3.0, 4.0), Excerpt(17.5, 18.5)]
    file = VocalsFile(tmp_path / "a.flac", RATE, excerpts, duration_s=20.0)
    for part, excerpt in zip(np.split(wave, 2), excerpts, strict=True):
        for block in np.array_split(part, 3):
            file.meter.add_mix(block)
            file.meter.add_vocals(0.001 * block if excerpt.start_s == 3 else block)
            file.write(block, excerpt)
    row = file.row("ab01", "spleeter")
    file.finish(row, "f1")
    samples, _ = soundfile.read(file.path, dtype="float32")
    for part, excerpt in zip(np.split(wave, 2), excerpts, strict=True):
        start = round(excerpt.start_s * RATE)
        np.testing.assert_allclose(samples[start : start + RATE], part, atol=1e-4)
        samples[start : start + RATE] = 0
    assert not samples.any()
    assert (row["duration_s"], row["heard_s"], row["voiced_s"], row["vocal_ratio"]) == pytest.approx((20, 2, 1, 0.5))
    assert row["excerpts"] == [{"start_s": 3.0, "end_s": 4.0}, {"start_s": 17.5, "end_s": 18.5}]


def test_a_foreign_file_in_its_place_gives_no_row(workspace):
    workspace.write_bytes(vocals_name("ab01"), b"not FLAC")
    assert read_row(workspace, "ab01", "f1") is None


def test_a_truncated_file_gives_no_row(tmp_path, workspace):
    file = written(tmp_path / "a.flac", loud(2 * RATE))
    file.finish(file.row("ab01", "spleeter"), "f1")
    whole = file.path.read_bytes()
    workspace.write_bytes(vocals_name("ab01"), whole[: len(whole) // 2])
    assert read_row(workspace, "ab01", "f1") is None
    workspace.write_bytes(vocals_name("ab01"), whole)
    assert read_row(workspace, "ab01", "f1")


@pytest.mark.parametrize(
    ("wave", "kind"),
    [
        (np.zeros(0, np.float32), "too_short"),
        (loud(RATE // 2), "too_short"),
        (np.zeros(2 * RATE, np.float32), "silent"),
        (1e-4 * loud(2 * RATE), "silent"),
    ],
)
def test_mixes_that_are_too_short_or_silent_are_refused(tmp_path, wave, kind):
    file = VocalsFile(tmp_path / "a.flac", RATE)
    file.meter.add_mix(wave)
    with pytest.raises(Problem) as raised:
        file.check_mix(1.0)
    assert raised.value.kind == kind


def test_a_length_is_never_rounded_up_to_the_required_one(tmp_path):
    file = VocalsFile(tmp_path / "a.flac", RATE)
    file.meter.add_mix(loud(RATE - 1))
    with pytest.raises(Problem, match=r"^0\.999 s of audio; separate\.min_s requires 1 s"):
        file.check_mix(1.0)


def test_vocals_that_are_not_finite_are_refused(tmp_path):
    file = VocalsFile(tmp_path / "a.flac", RATE)
    with pytest.raises(Problem, match="not numbers"):
        file.write(np.array([0.1, np.nan], np.float32))


def test_a_full_disk_is_reported_and_leaves_nothing(tmp_path):
    file = VocalsFile(tmp_path / "a.flac", RATE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(WorkspaceError, match=r"cannot write the vocals.*free some space"):
            for _ in range(4):
                file.write(loud(RATE))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    file.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_missing_samples_is_not_accepted(tmp_path):
    file = written(tmp_path / "a.flac", loud(4 * RATE))
    file.n += 1  # as if a sample had not reached the disk
    with pytest.raises(WorkspaceError, match="incomplete"):
        file.finish({}, "f1")
