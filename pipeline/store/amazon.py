"""Download objects of an S3 service with one request each, by Amazon's own client: pyarrow's asks for the size first.

It finds the service and the credentials in the same places (see `pipeline.store.locations`), and has the same timeouts.
"""

import contextlib
import errno
import functools
import os
from collections.abc import Iterator
from typing import IO, Any

import botocore.session
from botocore import exceptions
from botocore.config import Config

from pipeline.store.locations import ANSWER_S, ATTEMPTS, CONNECT_S, s3_service, settings, split

PIECE_BYTES = 2**20


def download(uri: str, sink: IO[bytes]) -> None:
    """Write an object's content to an empty file; if an answer breaks off, the rest is requested.

    Raises:
        FileNotFoundError: the object does not exist.
        OSError: the store fails or refuses, or the disk fails.
    """
    _, bucket, key = split(uri)
    rest: dict[str, str] = {}
    with _told_as_os_error(uri):
        for _ in range(ATTEMPTS):
            answer = _client(bucket, settings()).get_object(Bucket=bucket, Key=key, **rest)
            size = sink.tell() + answer["ContentLength"]
            with contextlib.suppress(exceptions.HTTPClientError, exceptions.IncompleteReadError):
                for piece in answer["Body"].iter_chunks(PIECE_BYTES):
                    sink.write(piece)
            if sink.tell() == size:
                return
            rest = {"Range": f"bytes={sink.tell()}-", "IfMatch": answer["ETag"]}
    raise ConnectionError(f"the store gave {sink.tell()} of {size} bytes of {uri}")


@functools.lru_cache(maxsize=16)
def _client(bucket: str, settings: tuple[tuple[str, str], ...]) -> Any:
    endpoint, region = s3_service(bucket, dict(settings))
    return botocore.session.get_session().create_client(
        "s3",
        region_name=region,
        endpoint_url=endpoint,
        config=Config(
            connect_timeout=CONNECT_S,
            read_timeout=ANSWER_S,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        ),
    )


@contextlib.contextmanager
def _told_as_os_error(uri: str) -> Iterator[None]:
    """Raise the client's errors as Python's, with the words by which `pipeline.store.errors` recognises them."""
    try:
        yield
    except exceptions.ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), uri) from error
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        raise OSError(f"{uri}: {error} (HTTP status {status})") from error
    except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
        raise ConnectionError(f"{uri}: {error}") from error
    except exceptions.BotoCoreError as error:
        raise OSError(f"{uri}: {error}") from error
