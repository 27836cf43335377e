import os

import pyarrow.fs as pafs
import pytest

from pipeline.sections import StoreConfig
from pipeline.store.errors import WorkspaceError
from pipeline.store.locations import is_remote, open_filesystem, uri_of

ODD_KEYS = [
    "a",
    "a#1.mp3",
    "50 % off.mp3",
    "a%20b.mp3",
    "[2001] x.mp3",
    'she said "no".mp3',
    "why?.mp3",
    "Björk/é.mp3",
    "日本/x'y.mp3",
    "a+b&c=d;e.mp3",
    "back\\slash.mp3",
    " lead.mp3",
    "*.mp3",
]


def test_local_and_remote_names_are_told_apart(tmp_path):
    assert is_remote("s3://bucket/prefix")
    assert is_remote("S3://bucket/prefix")
    assert not is_remote("/music/s3")
    assert not is_remote("http://example.org/a.mp3")
    filesystem, path = open_filesystem(f"file://{tmp_path}")
    assert path == str(tmp_path)
    assert filesystem.type_name == "local"


@pytest.mark.parametrize("root", ["s3://bucket/", "gs://bucket/", "abfs://bucket@account/"])
@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_uri_contains_the_key_as_it_is(root, key, monkeypatch):
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    filesystem, path = open_filesystem(root + key)
    assert path == f"bucket/{key}"
    assert uri_of(root, path) == root + key
    assert filesystem.type_name == {"s3": "s3", "gs": "gcs", "abfs": "abfs"}[root.partition(":")[0]]


def test_azures_account_may_come_from_the_environment(monkeypatch):
    with pytest.raises(WorkspaceError, match="AZURE_STORAGE_ACCOUNT"):
        open_filesystem("abfs://container/key")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "account")
    assert open_filesystem("abfs://container/key")[1] == "container/key"


def test_a_uri_that_cannot_be_opened_is_reported():
    with pytest.raises(WorkspaceError, match="https:// is not supported: copy the files to a folder or"):
        open_filesystem("https://music.example/a.mp3")


def test_a_uri_without_a_bucket_is_reported():
    with pytest.raises(WorkspaceError, match="names no bucket: write s3://bucket/key"):
        open_filesystem("s3:///key")


@pytest.mark.parametrize("key", ODD_KEYS)
def test_each_key_is_an_object_of_its_own(object_store, key):
    bucket = object_store.bucket()
    for name in ODD_KEYS:
        filesystem, path = open_filesystem(f"{bucket}/music/{name}")
        with filesystem.open_output_stream(path) as sink:
            sink.write(name.encode())
    filesystem, path = open_filesystem(f"{bucket}/music/{key}")
    assert filesystem.open_input_file(path).read() == key.encode()
    found = filesystem.get_file_info(pafs.FileSelector(open_filesystem(f"{bucket}/music")[1], recursive=True))
    assert f"{bucket}/music/{key}" in [uri_of(bucket, info.path) for info in found]


def test_a_request_is_repeated_until_an_outage_ends(object_store):
    filesystem, path = open_filesystem(f"{object_store.bucket()}/file")
    object_store.outage(1.5)
    with filesystem.open_output_stream(path) as sink:
        sink.write(b"there")
    object_store.outage(1.5, "503 SlowDown")
    assert filesystem.open_input_file(path).read() == b"there"
    assert object_store.kinds()["HEAD"] > 1


def test_the_configs_endpoint_and_region_win(object_store, monkeypatch):
    bucket = object_store.bucket()
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    for name, value in StoreConfig(endpoint=endpoint, region="eu-west-1").environment().items():
        monkeypatch.setenv(name, value)
    filesystem, path = open_filesystem(bucket)
    assert filesystem.get_file_info(path).type == pafs.FileType.Directory
    assert filesystem.region == "eu-west-1"
