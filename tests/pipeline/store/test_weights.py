from concurrent.futures import ThreadPoolExecutor

import pyarrow.fs as pafs
import pytest

from pipeline.sections import StoreConfig
from pipeline.store import weights
from pipeline.store.locations import open_filesystem, places


@pytest.fixture
def named(monkeypatch, tmp_path):
    """Return a function that sets `store.weights` as a config does; fetched models stay in the test's folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def named(place: str) -> None:
        for name, value in StoreConfig(weights=place).environment().items():
            monkeypatch.setenv(name, value)

    return named


def test_without_store_weights_or_the_models_folder_there_is_none(named, tmp_path):
    assert weights.prepared("htdemucs") is None
    named(str(tmp_path / "weights"))
    assert weights.prepared("htdemucs") is None


def test_a_local_folder_is_used_in_place(named, tmp_path):
    (tmp_path / "weights" / "owner" / "name").mkdir(parents=True)
    named(f"{tmp_path}/weights/")
    assert weights.prepared("owner/name") == tmp_path / "weights" / "owner" / "name"


def test_a_machine_fetches_a_model_from_a_store_once(named, object_store):
    bucket = object_store.bucket()
    for name in ("htdemucs.yaml", "955717e8.safetensors"):
        filesystem, path = open_filesystem(f"{bucket}/weights/htdemucs/{name}")
        with filesystem.open_output_stream(path) as sink:
            sink.write(name.encode())
    named(f"{bucket}/weights")
    assert places()["VOCATLAS_WEIGHTS"] == f"{bucket}/weights"  # as it is passed to workers on other machines
    folder = weights.prepared("htdemucs")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        name: name for name in ("htdemucs.yaml", "955717e8.safetensors")
    }
    object_store.forget()
    assert weights.prepared("htdemucs") == folder
    assert not object_store.kinds()["GET"]
    assert weights.prepared("another") is None


def test_a_folder_that_many_fetch_at_once_is_complete_for_each(tmp_path):
    (tmp_path / "far").mkdir()
    for name in ("config.yaml", "model.safetensors"):
        (tmp_path / "far" / name).write_bytes(bytes(5_000_000))

    def sizes(_: int) -> list[int]:
        weights.fetch(pafs.LocalFileSystem(), str(tmp_path / "far"), tmp_path / "near" / "encoder")
        return [path.stat().st_size for path in sorted((tmp_path / "near" / "encoder").iterdir())]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(sizes, range(8))) == [[5_000_000] * 2] * 8
    assert [path.name for path in (tmp_path / "near").iterdir()] == ["encoder"]
