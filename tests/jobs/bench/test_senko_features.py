"""If another package's library is built for another processor, that is reported and ends no process of ours."""

import importlib.util
import signal
import subprocess

import pytest

from jobs.bench import senko_features
from pipeline.evaluate.baselines import Unavailable

needs_senko = pytest.mark.skipif(
    importlib.util.find_spec("senko") is None, reason="senko (extra: baselines) is not installed"
)


@pytest.fixture(autouse=True)
def unchecked():
    senko_features.check.cache_clear()
    yield
    senko_features.check.cache_clear()


def ending_with(code: int, stderr: str):
    return lambda command, **_: subprocess.CompletedProcess(command, code, "", stderr)


@needs_senko
@pytest.mark.parametrize(
    ("code", "stderr", "said"),
    [(-signal.SIGILL, "", "AVX-512"), (1, "Traceback\nOSError: no such symbol\n", "no such symbol")],
)
def test_a_library_that_does_not_run_is_unavailable(monkeypatch, code, stderr, said):
    monkeypatch.setattr(subprocess, "run", ending_with(code, stderr))
    with pytest.raises(Unavailable, match=said):
        senko_features.check()


@needs_senko
def test_a_library_that_runs_is_available(monkeypatch):
    monkeypatch.setattr(subprocess, "run", ending_with(0, ""))
    senko_features.check()


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="No module named 'senko'"):
        senko_features.check()
