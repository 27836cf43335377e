import pytest

from pipeline.store.locations import open_filesystem


@pytest.fixture
def put(object_store):
    """Return a function that puts an object and gives its URI."""
    bucket = object_store.bucket()

    def put(data: bytes, key: str = "music/a.mp3") -> str:
        filesystem, path = open_filesystem(f"{bucket}/{key}")
        with filesystem.open_output_stream(path) as sink:
            sink.write(data)
        object_store.forget()
        return f"{bucket}/{key}"

    return put
