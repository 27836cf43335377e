"""Check before work starts whether a store answers, and explain what is wrong if it does not."""

import threading
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs

from pipeline.store import locations
from pipeline.store.errors import DENIED, GONE, WorkspaceError, is_like, is_passing
from pipeline.store.locations import is_remote, split

WAIT_S = 15.0
ATTEMPTS = 3
GOOGLE_RETRY_S = 4.0  # the client takes about twice that
MANUAL = "docs/cluster.md says how to set them"


def check(uri: str) -> None:
    """Send a small request to a store; a local path is not checked.

    Raises:
        WorkspaceError: the store does not answer within 15 s, or refuses; the message says how it was accessed, and
            what to do.
    """
    if not is_remote(uri):
        return
    split(uri)  # raises if it names no bucket
    errors: list[BaseException] = []
    asking = threading.Thread(target=_ask, args=(uri, errors), daemon=True)
    asking.start()
    asking.join(WAIT_S)
    if asking.is_alive():
        raise WorkspaceError(f"{uri}: no answer within {WAIT_S:g} s from {described(uri)}; {MANUAL}")
    if errors:
        raise WorkspaceError(f"{uri}: {_what(uri, errors[0])}. Asked: {described(uri)}; {MANUAL}") from errors[0]


def _ask(uri: str, errors: list[BaseException]) -> None:
    """List a folder that does not exist: one request, which shows whether bucket and credentials work."""
    scheme, authority, _ = split(uri)
    bucket, _, account = authority.partition("@")
    settings = dict(locations.settings())
    try:
        if scheme in locations.S3:
            filesystem: pafs.FileSystem = locations.s3(bucket, settings, ATTEMPTS)
        elif scheme in locations.GOOGLE:
            filesystem = pafs.GcsFileSystem(retry_time_limit=timedelta(seconds=GOOGLE_RETRY_S))
        else:
            filesystem = locations.azure(account, settings)
        filesystem.get_file_info(pafs.FileSelector(f"{bucket}/vocatlas-asks-whether-you-are-there"))
    except FileNotFoundError:
        return  # as expected
    except (pa.ArrowException, OSError, ValueError) as error:
        errors.append(error)


def _what(uri: str, error: BaseException) -> str:
    """Return the reason why a store could not be accessed, in words."""
    if is_like(error, GONE):
        return f"there is no bucket {split(uri)[1]}"
    if "access token" in str(error) or "credential" in str(error).lower():
        return "there are no credentials, or they cannot be used"
    if is_like(error, DENIED):
        return "the credentials are not accepted, or may not list this bucket"
    if is_passing(error):
        return f"nothing answers there ({str(error).rpartition('Details: ')[2]})"
    return f"{type(error).__name__}: {error}"


def described(uri: str) -> str:
    """Return which service is accessed, and where its credentials come from, but not the credentials."""
    scheme, authority, _ = split(uri)
    settings = dict(locations.settings())
    if scheme in locations.S3:
        endpoint = settings.get("AWS_ENDPOINT_URL_S3") or settings.get("AWS_ENDPOINT_URL") or "Amazon"
        region = settings.get("AWS_REGION") or settings.get("AWS_DEFAULT_REGION") or "the bucket's"
        return f"S3 at {endpoint}, region {region}, {_credentials(AMAZONS, settings)}"
    if scheme in locations.GOOGLE:
        return f"Google Cloud Storage, {_credentials(GOOGLES, settings)}"
    account = authority.partition("@")[2] or settings.get("AZURE_STORAGE_ACCOUNT", "")
    return f"Azure Blob Storage, account {account}, {_credentials(AZURES, settings)}"


# Where each client looks for credentials, in this order: a variable that is set, or a file that exists.
AMAZONS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_SHARED_CREDENTIALS_FILE",
    "~/.aws/credentials",
    "~/.aws/config",
)
GOOGLES = ("GOOGLE_APPLICATION_CREDENTIALS", "~/.config/gcloud/application_default_credentials.json")
AZURES = ("AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_CLIENT_ID", "~/.azure/msal_token_cache.json")


def _credentials(places: tuple[str, ...], settings: dict[str, str]) -> str:
    for place in places:
        if place in settings or (place.startswith("~") and Path(place).expanduser().exists()):
            profile = settings.get("AWS_PROFILE") if place.startswith("~/.aws") else None
            return f"credentials from {place}" + (f", profile {profile}" if profile else "")
    return f"no credentials in {places[0]}, {places[-1]} or between (a cloud machine's own role, if it has one)"
