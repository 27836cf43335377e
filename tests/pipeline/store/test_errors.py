import errno

import pytest

from pipeline.store.errors import (
    ConfigError,
    DeviceLost,
    Problem,
    WorkspaceError,
    as_run_error,
    explain,
    raise_if_fatal,
)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (Problem("decode", "not audio"), "decode", "not audio"),
        (MemoryError(), "out_of_memory", "not enough memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "out_of_memory", "CUDA out of memory"),
        (FileNotFoundError(2, "No such file", "/a.mp3"), "missing", "no such file: /a.mp3"),
        (OSError(5, "Input/output error"), "unreadable", "Input/output error"),
        (PermissionError(13, "Permission denied", "/a.mp3"), "permission", "/a.mp3"),
        (ValueError("odd"), "unexpected", "ValueError: odd"),
        (OSError("AWS Error NETWORK_CONNECTION during GetObject operation: curlCode: 7"), "unavailable", "next run"),
        (OSError("AWS Error UNKNOWN (HTTP status 503) during HeadObject operation"), "unavailable", "HTTP status 503"),
        (OSError("google::cloud::Status(UNAVAILABLE: Retry policy exhausted"), "unavailable", "UNAVAILABLE"),
        (ConnectionResetError(104, "Connection reset by peer"), "unavailable", "reset"),
        (
            OSError("AWS Error ACCESS_DENIED during HeadObject operation: No response body."),
            "permission",
            "ACCESS_DENIED",
        ),
        (OSError("AWS Error NO_SUCH_BUCKET during GetObject operation"), "missing", "NO_SUCH_BUCKET"),
    ],
)
def test_every_error_has_a_class_and_a_message(error, kind, words):
    found_kind, message = explain(error)
    assert found_kind == kind
    assert words in message


def test_errors_that_concern_the_whole_run_are_raised_again():
    with pytest.raises(WorkspaceError, match="continues where it stopped"):
        raise_if_fatal(OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(ConfigError):
        raise_if_fatal(ConfigError("x"))
    with pytest.raises(DeviceLost, match="device-side assert"):
        raise_if_fatal(RuntimeError("CUDA error: device-side assert triggered\nCompile with TORCH_USE_CUDA_DSA"))
    raise_if_fatal(RuntimeError("CUDA error: out of memory"))
    raise_if_fatal(Problem("decode", "only this file"))
    raise_if_fatal(FileNotFoundError(2, "No such file"))


def test_a_store_that_fails_outside_an_item_ends_the_run_with_a_message():
    told = as_run_error(OSError("AWS Error SLOW_DOWN during ListObjectsV2 operation"))
    assert isinstance(told, WorkspaceError)
    assert "run the same command" in str(told)
    assert "refuses" in str(as_run_error(OSError("AWS Error ACCESS_DENIED during PutObject operation")))
    assert as_run_error(OSError(errno.ENOENT, "No such file")) is None
    assert "the GPU cannot be used" in str(as_run_error(RuntimeError("CUDA out of memory. Tried to allocate")))
    assert as_run_error(RuntimeError("shapes differ")) is None
