"""Locations: the meaning of paths and URIs, and the only way to open them.

A URI is `scheme://bucket/key`, and the key is taken literally: `#`, `?`, `%`, spaces and letters of any script are part
of it, and nothing in it is ever unquoted. Azure URIs are `abfs://container@account/key`; without `@account`, the
variable AZURE_STORAGE_ACCOUNT names the account.

Endpoint, region and credentials are found where the stores' own tools look for them (see docs/cluster.md). They are
never part of a URI, since URIs are written into tables. The stores' own clients retry after temporary errors (timeouts,
resets, 5xx, SlowDown), with increasing waits, for some minutes.
"""

import functools
import os
import re
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs

from pipeline.store.errors import WorkspaceError

S3, GOOGLE, AZURE = ("s3",), ("gs", "gcs"), ("abfs", "abfss", "az")
SCHEMES = (*S3, *GOOGLE, *AZURE)
SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+)://")
ATTEMPTS = 20  # per request, which take about three minutes with the clients' waits (doubling, at most 20 s)
RETRY_S = 180.0
WEIGHTS = "VOCATLAS_WEIGHTS"  # the variable that says where models are (see `pipeline.store.weights`)
CONNECT_S, ANSWER_S = 5.0, 30.0  # after which a request counts as lost


def is_remote(uri: str) -> bool:
    """Return whether `uri` names an object store rather than a local path."""
    scheme, separator, _ = uri.partition("://")
    return bool(separator) and scheme.lower() in SCHEMES


def scheme_of(uri: str) -> str:
    """Return the scheme of a URI in lower case, or "" for a local path.

    Raises:
        WorkspaceError: it cannot be opened.
    """
    scheme = (SCHEME.match(uri) or ["", ""])[1].lower()
    if scheme not in ("", "file", *SCHEMES):
        stores = ", ".join(f"{name}://" for name in SCHEMES)
        raise WorkspaceError(
            f"{scheme}:// is not supported: copy the files to a folder or an object store ({stores}) and give that"
        )
    return scheme


def open_filesystem(uri: str) -> tuple[pafs.FileSystem, str]:
    """Return the filesystem of a local path or a URI, and the path within it.

    Raises:
        WorkspaceError: the URI names no store or no bucket, or the store's settings cannot be understood.
    """
    if scheme_of(uri) not in SCHEMES:
        return pafs.LocalFileSystem(), str(Path(uri.removeprefix("file://")).expanduser().absolute())
    scheme, authority, key = split(uri)
    bucket, _, account = authority.partition("@")
    try:
        return _filesystem(scheme, bucket, account, ATTEMPTS, settings()), f"{bucket}/{key}".rstrip("/")
    except (pa.ArrowException, OSError, ValueError) as error:
        raise WorkspaceError(f"cannot open {uri}: {error}") from error


def split(uri: str) -> tuple[str, str, str]:
    """Return the scheme, the authority (bucket, or container@account) and the plain key of a remote URI.

    Raises:
        WorkspaceError: it names no bucket.
    """
    scheme, _, rest = uri.partition("://")
    authority, _, key = rest.partition("/")
    if not authority.partition("@")[0]:
        raise WorkspaceError(f"{uri} names no bucket: write {scheme.lower()}://bucket/key")
    return scheme.lower(), authority, key


def uri_of(root: str, path: str) -> str:
    """Return the URI (or the local path) of a path in the filesystem that holds `root`."""
    if not is_remote(root):
        return path
    scheme, authority, _ = split(root)
    return f"{scheme}://{authority}/{path.partition('/')[2]}"


def places() -> dict[str, str]:
    """Return this process's variables that locate stores and models, for workers on other machines; no secrets."""
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", WEIGHTS)
    return {name: os.environ[name] for name in names if name in os.environ}


def settings() -> tuple[tuple[str, str], ...]:
    """Return the variables that determine how a store is opened, so that it is opened again when one changes."""
    return tuple(
        (name, value)
        for name, value in sorted(os.environ.items())
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "STORAGE_EMULATOR_HOST"))
    )


@functools.lru_cache(maxsize=16)
def _filesystem(
    scheme: str, bucket: str, account: str, attempts: int, settings: tuple[tuple[str, str], ...]
) -> pafs.FileSystem:
    """Return the client of a store; a process has one per bucket, which keeps its connections."""
    if scheme in S3:
        return s3(bucket, dict(settings), attempts)
    if scheme in GOOGLE:
        return pafs.GcsFileSystem(retry_time_limit=timedelta(seconds=RETRY_S))
    return azure(account, dict(settings))


def s3_service(bucket: str, settings: dict[str, str]) -> tuple[str | None, str | None]:
    """Return endpoint and region of the S3 service in the settings; None for the client's defaults."""
    endpoint = settings.get("AWS_ENDPOINT_URL_S3") or settings.get("AWS_ENDPOINT_URL")
    region = settings.get("AWS_REGION") or settings.get("AWS_DEFAULT_REGION")
    if not (endpoint or region):
        region = pafs.resolve_s3_region(bucket)
    return endpoint, region


def s3(bucket: str, settings: dict[str, str], attempts: int) -> pafs.S3FileSystem:
    """Return a client of the S3 service in the settings.

    Writes of up to 10 MB are a single request, and buckets are never created.
    """
    endpoint, region = s3_service(bucket, settings)
    return pafs.S3FileSystem(
        endpoint_override=endpoint,
        region=region,
        connect_timeout=CONNECT_S,
        request_timeout=ANSWER_S,
        allow_delayed_open=True,
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=attempts),
    )


def azure(account: str, settings: dict[str, str]) -> pafs.AzureFileSystem:
    """Return a client of Azure's blob storage for an account."""
    name = account.partition(".")[0] or settings.get("AZURE_STORAGE_ACCOUNT")
    if not name:
        raise ValueError("write abfs://container@account/key, or set AZURE_STORAGE_ACCOUNT")
    return pafs.AzureFileSystem(
        name, account_key=settings.get("AZURE_STORAGE_KEY"), sas_token=settings.get("AZURE_STORAGE_SAS_TOKEN")
    )
