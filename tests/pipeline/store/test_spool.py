import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from pipeline.store.spool import PREFIX, local_copy, spooled

TRACK_BYTES = 9_900_000


@pytest.fixture(autouse=True)
def spool_folder(tmp_path, monkeypatch):
    """Return the test's own folder, in which the spools are."""
    folder = tmp_path / "spools"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_track_is_one_request_and_is_removed_afterwards(object_store, put, spool_folder):
    data = os.urandom(TRACK_BYTES)
    uri = put(data, "a #1.mp3")
    with local_copy(uri) as path:
        assert Path(path).read_bytes() == data
        assert path.endswith(".mp3")
    assert object_store.kinds() == {"GET": 1}
    assert list(spool_folder.iterdir()) == []


def test_only_the_next_file_is_fetched_while_one_is_processed(object_store, put, spool_folder):
    uris = [put(b"%d" % i, f"{i}.mp3") for i in range(4)]
    for n, (uri, copies) in enumerate(spooled(uris, lambda uri: [uri])):
        assert Path(copies[uri]).read_bytes() == b"%d" % n
        until = time.monotonic() + 10
        while n < 3 and not object_store.kinds(f"/{n + 1}.mp3")["GET"]:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert not object_store.kinds(f"/{n + 2}.mp3")
        assert len(files(spool_folder)) <= 2
    assert object_store.kinds() == {"GET": 4}


def test_a_file_that_two_neighbours_need_is_fetched_once(object_store, put, spool_folder):
    uris = [put(b"%d" % i, f"{i}.mp3") for i in range(3)]
    pairs = [(uris[0], uris[1]), (uris[1], uris[2])]
    for pair, copies in spooled(pairs, lambda pair: pair):
        assert [Path(copies[uri]).read_bytes() for uri in pair] == [uri[-5:-4].encode() for uri in pair]
    assert object_store.kinds()["GET"] == 3
    assert files(spool_folder) == []


def test_local_files_are_used_in_place_and_stay(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"here")
    for uri, copies in spooled([str(tmp_path / "a.wav")], lambda uri: [uri, None]):
        assert copies[uri] == uri
    assert (tmp_path / "a.wav").exists()


def test_a_file_that_cannot_be_fetched_raises_when_it_is_used(put):
    good = put(b"a", "a.mp3")
    missing = good.replace("a.mp3", "gone.mp3")
    found = []
    for uri, copies in spooled([missing, good], lambda uri: [uri]):
        try:
            found.append(Path(copies[uri]).read_bytes())
        except FileNotFoundError as error:
            found.append(error.filename)
    assert found == [missing, b"a"]


def test_a_reader_that_stops_early_leaves_nothing(put, spool_folder):
    uris = [put(b"x", f"{i}.mp3") for i in range(3)]
    copies = spooled(uris, lambda uri: [uri])
    next(copies)
    copies.close()
    assert list(spool_folder.iterdir()) == []


def test_spools_of_dead_processes_are_removed(spool_folder):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for pid in (dead.pid, os.getpid()):
        (spool_folder / f"{PREFIX}{pid}-x").mkdir()
        (spool_folder / f"{PREFIX}{pid}-x" / "copy.mp3").write_bytes(b"x")
    list(spooled([], lambda uri: [uri]))
    assert [folder.name for folder in spool_folder.iterdir()] == [f"{PREFIX}{os.getpid()}-x"]
