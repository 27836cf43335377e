import pyarrow.fs as pafs
import pytest


def test_requests_are_counted_by_kind_and_key(object_store):
    bucket, client = object_store.bucket(), object_store.client()
    with client.open_output_stream(f"{bucket[5:]}/music/é #1.mp3") as sink:
        sink.write(b"sound")
    client.get_file_info(pafs.FileSelector(f"{bucket[5:]}/music"))
    assert object_store.kinds() == {"POST": 2, "PUT": 1, "LIST": 1}
    assert object_store.kinds("é #1.mp3")["PUT"] == 1
    object_store.forget()
    assert not object_store.kinds()


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("drop", "NETWORK_CONNECTION"),
        ("cut", "NETWORK_CONNECTION"),
        ("503 SlowDown", "SLOW_DOWN"),
        ("403 InvalidAccessKeyId", "AccessKeyId|ACCESS_KEY"),
    ],
)
def test_clients_see_the_chosen_trouble_until_it_ends(object_store, trouble, words):
    place = object_store.bucket()[5:]
    object_store.outage(60, trouble)
    with pytest.raises(OSError, match=words):
        object_store.client().get_file_info(pafs.FileSelector(place))
    object_store.calm()
    assert object_store.client().get_file_info(pafs.FileSelector(place)) == []
