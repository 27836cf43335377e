"""The file that a path or URI in a list stands for."""

import os
import posixpath
import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from pipeline.store.errors import Problem, WorkspaceError
from pipeline.store.locations import SCHEMES, is_remote, scheme_of, split

MAX_PATH_BYTES, MAX_NAME_BYTES = 4095, 255  # Linux's limits


def resolve(written: str, folder: str) -> str:
    """Return the absolute path or URI of a file.

    Args:
        written: an absolute or relative path, `~/…`, `file:///…` (percent-encoded, as such URIs are), or `s3://…` and
            the like (a plain key, in which `%` is an ordinary character).
        folder: absolute path or URI at which relative paths begin.

    Raises:
        Problem: `manifest`, if it cannot be a file.
    """
    path = written.strip()
    if not path:
        raise Problem("manifest", "the path is empty")
    if "\0" in path:
        raise Problem("manifest", "the path holds a NUL character, which no file name can")
    try:
        scheme = scheme_of(path)
        if scheme in SCHEMES:
            split(path)  # raises where it names no bucket
            return scheme + path[len(scheme) :]
    except WorkspaceError as error:
        raise Problem("manifest", str(error)) from error
    if path[:6].lower() == "file:/":
        path = _path_of_file_uri(path)
    path = str(Path(path).expanduser()) if path.startswith("~/") else path
    path = str(PurePosixPath(path)) if path.startswith("/") else f"{folder}/{PurePosixPath(path)}"
    if "/../" in path:
        path = _straight(path)
    if len(os.fsencode(path)) > MAX_PATH_BYTES or any(
        len(os.fsencode(part)) > MAX_NAME_BYTES for part in path.split("/")
    ):
        raise Problem("manifest", f"the path is longer ({len(os.fsencode(path))} bytes) than one can be")
    return path


def _straight(path: str) -> str:
    """Return a path without `..`: resolved by the file system, with links, or textually for the key of a store."""
    if not is_remote(path):
        return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    scheme, authority, key = split(path)
    return f"{scheme}://{authority}{posixpath.normpath('/' + key)}"


def _path_of_file_uri(uri: str) -> str:
    try:
        path = unquote(uri[5:], errors="strict")
    except UnicodeDecodeError as error:
        raise Problem("manifest", "the file name in the URI is not UTF-8") from error
    return re.sub(r"^//[^/]*", "", path)  # file://host/path
