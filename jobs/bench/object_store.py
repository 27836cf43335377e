"""An object store on loopback for tests and measurements: moto's S3 server, counted, slowed down and made to fail."""

import collections
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pyarrow.fs as pafs
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

Trouble = Literal["drop", "cut", "503 SlowDown", "403 InvalidAccessKeyId"] | None


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open, as real stores do

    def log(self, *_: Any) -> None:
        """Do not log requests."""


class ObjectStore:
    """The server, in threads of this process.

    Attributes:
        requests: `(kind, path, query)` of every request since `forget`, in order.
        delay_s: how long each request is delayed.
        trouble: a function of a request's kind and path that returns how it fails; None for a normal answer.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, str]] = []
        self.application = DomainDispatcherApplication(create_backend_app)
        self.calm()
        self.server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables by which clients find the server."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.server.port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def calm(self) -> None:
        """End all delay and trouble, and forget the requests."""
        self.delay_s = 0.0
        self.trouble: Callable[[str, str], Trouble] = lambda kind, path: None
        self.forget()

    def forget(self) -> None:
        """Forget the requests so far."""
        self.requests = []

    def kinds(self, *parts: str) -> collections.Counter[str]:
        """Return how many requests of each kind there were, for paths with one of these parts, or for all paths."""
        return collections.Counter(
            kind for kind, path, query in self.requests if not parts or any(part in path + query for part in parts)
        )

    def outage(self, seconds: float, trouble: Trouble = "drop") -> None:
        """Make every request fail for some seconds."""
        until = time.monotonic() + seconds
        self.trouble = lambda kind, path: trouble if time.monotonic() < until else None

    def bucket(self) -> str:
        """Make a bucket and return its URI."""
        name = f"bucket-{uuid.uuid4().hex[:8]}"
        self.client().create_dir(name)
        self.forget()
        return f"s3://{name}"

    def client(self) -> pafs.S3FileSystem:
        """Return a client that may make buckets."""
        return pafs.S3FileSystem(
            access_key="key",
            secret_key="secret",
            region="us-east-1",
            allow_bucket_creation=True,
            endpoint_override=self.environment["AWS_ENDPOINT_URL"],
        )

    def close(self) -> None:
        """End the server."""
        self.server.shutdown()
        self.thread.join()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        kind = _kind(environ["REQUEST_METHOD"], environ["QUERY_STRING"])
        self.requests.append((kind, environ["PATH_INFO"].encode("latin-1").decode(), environ["QUERY_STRING"]))
        time.sleep(self.delay_s)
        trouble = self.trouble(kind, environ["PATH_INFO"])
        if trouble is None:
            return self.application(environ, start_response)
        if trouble == "drop":
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError
        if trouble == "cut":
            return _cut(environ["werkzeug.socket"], b"".join(self.application(environ, start_response)))
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        error = f"<Error><Code>{trouble.partition(' ')[2]}</Code><Message>On purpose.</Message></Error>".encode()
        start_response(trouble, [("Content-Type", "text/xml"), ("Content-Length", str(len(error)))])
        return [error]


def _cut(connection: socket.socket, body: bytes) -> Iterator[bytes]:
    """Yield half of an answer, then close the connection."""
    yield body[: len(body) // 2]
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError


def _kind(method: str, query: str) -> str:
    """Return a request's kind, as price lists distinguish them."""
    if method == "GET" and "list-type" in query:
        return "LIST"
    return method
