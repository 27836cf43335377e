"""Objects of an S3 service, each in one request: by Amazon's own client, as pyarrow's asks for an object's size first.

It finds the service and the credentials in the same places (see `pipeline.store.locations`), and waits as long.
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
    """Write an object's content to an empty file; where an answer breaks off, the rest is asked for.

    Raises:
        FileNotFoundError: there is no such object.
        OSError: the store fails or refuses, or the disk does.
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
    """Raise the client's errors as Python's, in the words that `pipeline.store.errors` tells them apart by."""
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
