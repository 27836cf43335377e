"""Errors, with messages for the person who has to fix them.

A `Problem` concerns one item (a file, a track): it becomes a row of `failures/`, and the run continues. `ConfigError`
and `WorkspaceError` concern the whole run, which stops with their message and exit status 2.
"""

import errno
import re

# Messages of object stores' clients about temporary errors, after minutes of retries.
PASSING = re.compile(
    r"NETWORK_CONNECTION|SLOW_DOWN|SERVICE_UNAVAILABLE|INTERNAL_FAILURE|INTERNAL_ERROR|THROTTLING|"
    r"REQUEST_TIMEOUT|HTTP status (429|5\d\d)|curlCode|\bUNAVAILABLE\b|DEADLINE_EXCEEDED|"
    r"Fail to get a new connection|Timed? ?out",
    re.IGNORECASE,
)
DENIED = re.compile(
    r"ACCESS_DENIED|HTTP status 40[13]|INVALID_ACCESS_KEY|SIGNATURE_DOES_NOT_MATCH|PERMISSION_DENIED|"
    r"UNAUTHENTICATED|AuthenticationFailed|AuthorizationFailure",
    re.IGNORECASE,
)
GONE = re.compile(r"NO_SUCH_BUCKET|NO_SUCH_KEY|HTTP status 404|ContainerNotFound", re.IGNORECASE)
UNAVAILABLE = "unavailable"  # the class of items that the next run tries again automatically

FATAL_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


class Problem(Exception):
    """One item cannot be processed; `kind` is the class by which failures are counted (`decode`, `too_short`, ...)."""

    def __init__(self, kind: str, message: str):
        super().__init__(kind, message)
        self.kind = kind
        self.message = message

    def __str__(self) -> str:
        return self.message


class RunError(Exception):
    """The run as a whole cannot continue; the message says what to do."""


class ConfigError(RunError):
    """A config file, key or value is wrong."""


class DeviceLost(RunError):
    """The GPU accepts no more work from this process after an error; a new process can use it again."""


class WorkspaceError(RunError):
    """The workspace cannot be written, is full, or was made by another config."""


def explain(error: BaseException) -> tuple[str, str]:
    """Return `(kind, message)` of an item's error, for its row in `failures/`."""
    if isinstance(error, Problem):
        return error.kind, error.message
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return "out_of_memory", f"there was not enough memory to process it ({error or 'MemoryError'})"
    if is_passing(error):
        return UNAVAILABLE, f"the store did not answer for minutes, the next run tries it again ({error})"
    if isinstance(error, FileNotFoundError) or is_like(error, GONE):
        return "missing", f"there is no such file: {getattr(error, 'filename', None) or error}"
    if is_like(error, DENIED):
        return "permission", f"the store does not let it be read: {error}"
    if isinstance(error, PermissionError):
        return "permission", f"the file may not be read: {error.filename or error}"
    if isinstance(error, OSError):
        return "unreadable", f"the file cannot be read: {error.strerror or error}"
    return "unexpected", f"{type(error).__name__}: {error}"


def is_passing(error: BaseException) -> bool:
    """Return whether an error is a temporary one of a store or a network."""
    return isinstance(error, ConnectionError | TimeoutError) or is_like(error, PASSING)


def is_like(error: BaseException, words: re.Pattern) -> bool:
    """Return whether an error is from a store's client and matches these words."""
    return isinstance(error, OSError) and error.errno is None and bool(words.search(str(error)))


def as_run_error(error: BaseException) -> RunError | None:
    """Return the `RunError` for an error outside the work on an item, of a store or the GPU; None for other errors."""
    if isinstance(error, RunError):
        return error
    if isinstance(error, RuntimeError) and "CUDA" in str(error):
        return RunError(f"the GPU cannot be used: {str(error).splitlines()[0]}")
    if is_passing(error):
        return WorkspaceError(
            f"the store did not answer for minutes ({error}). When it does, run the same command: it "
            "continues where it stopped."
        )
    if is_like(error, DENIED) or is_like(error, GONE):
        return WorkspaceError(f"the store refuses: {error}")
    return None


def raise_if_fatal(error: BaseException) -> None:
    """Raise an error again that concerns all items: a full disk, a read-only workspace, a lost GPU, a `RunError`.

    Raises:
        RunError: `error` concerns the whole run.
    """
    if isinstance(error, RunError):
        raise error
    if "CUDA error" in str(error) and "out of memory" not in str(error):
        raise DeviceLost(f"the GPU takes no more work from this process ({str(error).splitlines()[0]})") from error
    if isinstance(error, OSError) and error.errno in FATAL_ERRNOS:
        raise WorkspaceError(
            f"cannot write: {error.strerror} ({error.filename or 'workspace'}). "
            "Free some space or choose another workspace, then run the same command: "
            "it continues where it stopped."
        ) from error
