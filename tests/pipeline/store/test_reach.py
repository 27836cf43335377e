import socket

import pytest

from pipeline.store import reach
from pipeline.store.errors import WorkspaceError


def test_a_store_that_answers_gets_one_request(object_store):
    reach.check(f"{object_store.bucket()}/work space #1")
    assert object_store.kinds() == {"LIST": 1}


def test_a_local_folder_needs_no_store(tmp_path):
    reach.check(str(tmp_path))


def test_a_uri_without_a_bucket_is_reported():
    with pytest.raises(WorkspaceError, match="s3:///music names no bucket: write s3://bucket/key"):
        reach.check("s3:///music")


def test_a_missing_bucket_is_reported(object_store):
    with pytest.raises(WorkspaceError, match=r"there is no bucket not-there\. Asked: S3 at http://127\.0\.0\.1:"):
        reach.check("s3://not-there/music")


def test_an_endpoint_where_nothing_listens_is_reported(object_store, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(WorkspaceError, match=r"nothing answers there \(Failed to connect.*docs/cluster.md"):
            reach.check("s3://bucket/music")


def test_a_store_that_accepts_the_connection_and_never_answers_is_reported(object_store, monkeypatch):
    monkeypatch.setattr(reach, "WAIT_S", 1.0)
    bucket, object_store.delay_s = object_store.bucket(), 2.0
    with pytest.raises(WorkspaceError, match="no answer within 1 s from S3 at"):
        reach.check(bucket)


def test_wrong_credentials_are_reported_by_their_source_and_never_shown(object_store):
    bucket = object_store.bucket()
    object_store.outage(60, "403 InvalidAccessKeyId")
    with pytest.raises(WorkspaceError, match="not accepted.*credentials from AWS_ACCESS_KEY_ID") as told:
        reach.check(bucket)
    assert "secret" not in str(told.value)


def test_missing_credentials_are_reported(object_store, monkeypatch, tmp_path):
    bucket = object_store.bucket()
    object_store.outage(60, "403 InvalidAccessKeyId")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(WorkspaceError, match="no credentials in AWS_ACCESS_KEY_ID"):
        reach.check(bucket)


def test_missing_credentials_for_google_are_reported(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setattr(reach, "GOOGLE_RETRY_S", 1.0)
    with pytest.raises(WorkspaceError, match="gs://bucket/music: .*no credentials in GOOGLE_APPLICATION_CREDENTIALS"):
        reach.check("gs://bucket/music")


def test_missing_credentials_for_azure_are_reported(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(reach, "WAIT_S", 3.0)
    with pytest.raises(WorkspaceError, match="account nobody, no credentials in AZURE_STORAGE_KEY"):
        reach.check("abfs://container@nobody/music")
