import io
import os

import pytest

from pipeline.store import amazon
from pipeline.store.errors import explain

ODD_KEYS = [
    "a",
    "a#1 ?.mp3",
    "50 % off%20.mp3",
    '[2001] "x".mp3',
    "Björk/日本 é.mp3",
    "a+b&c=d;e.mp3",
    "back\\slash",
    " *",
]
DATA = os.urandom(3 * 2**20)


@pytest.fixture
def few_attempts(monkeypatch):
    """Give up after two attempts; clients that exist already are replaced."""
    monkeypatch.setattr(amazon, "ATTEMPTS", 2)
    monkeypatch.setenv("AWS_FOR_THIS_TEST", "1")


def downloaded(uri: str) -> bytes:
    sink = io.BytesIO()
    amazon.download(uri, sink)
    return sink.getvalue()


@pytest.mark.parametrize("data", [b"", b"short", DATA])
def test_an_object_is_one_request(object_store, put, data):
    assert downloaded(put(data)) == data
    assert object_store.kinds() == {"GET": 1}


def test_a_key_is_taken_literally(put):
    uris = [put(key.encode(), key) for key in ODD_KEYS]
    assert [downloaded(uri).decode() for uri in uris] == ODD_KEYS


def test_an_interrupted_download_continues(object_store, put):
    uri = put(DATA)
    object_store.trouble = lambda kind, path: "cut" if len(object_store.requests) < 4 else None
    assert downloaded(uri) == DATA
    assert object_store.kinds() == {"GET": 4}


def test_an_object_that_never_arrives_whole_is_left_to_the_next_run(object_store, put, few_attempts):
    uri = put(DATA)
    object_store.trouble = lambda kind, path: "cut"
    with pytest.raises(ConnectionError, match=rf"of {len(DATA)} bytes of {uri}") as told:
        downloaded(uri)
    assert explain(told.value)[0] == "unavailable"


@pytest.mark.parametrize("trouble", ["drop", "503 SlowDown"])
def test_a_short_outage_is_waited_out(object_store, put, trouble):
    uri = put(DATA)
    object_store.outage(1.0, trouble)
    assert downloaded(uri) == DATA


@pytest.mark.parametrize("trouble", ["drop", "503 SlowDown"])
def test_an_endless_outage_is_left_to_the_next_run(object_store, put, few_attempts, trouble):
    uri = put(DATA)
    object_store.outage(60, trouble)
    with pytest.raises(OSError, match="a.mp3") as told:
        downloaded(uri)
    assert explain(told.value)[0] == "unavailable"


def test_missing_or_refused_objects_are_reported(object_store, put):
    uri = put(DATA)
    with pytest.raises(FileNotFoundError, match="gone.mp3"):
        downloaded(uri.replace("a.mp3", "gone.mp3"))
    with pytest.raises(OSError, match="NoSuchBucket") as told:
        downloaded("s3://no-such-bucket/a.mp3")
    assert explain(told.value)[0] == "missing"
    object_store.trouble = lambda kind, path: "403 InvalidAccessKeyId"
    with pytest.raises(OSError, match="InvalidAccessKeyId") as told:
        downloaded(uri)
    assert explain(told.value)[0] == "permission"
