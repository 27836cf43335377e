import errno

import pytest

from pipeline.store import tables
from pipeline.store.errors import Problem, WorkspaceError
from pipeline.store.ledger import MAX_CRASHES, Ledger, batch_name, forget_crashes
from pipeline.store.workspace import Workspace


def test_every_item_ends_as_a_row_or_a_failure(workspace: Workspace):
    ledger = Ledger(workspace, "separate", "vocals")
    with ledger.item("good", track_id="good"):
        ledger.add(track_id="good", separator="spleeter")
    with ledger.item("bad", track_id="bad", uri="/music/bad.mp3"):
        ledger.add(track_id="bad", separator="half done")
        raise Problem("decode", "not audio")
    with ledger.item("odd"):
        raise ZeroDivisionError("division by zero")
    outcomes = ledger.commit().to_pylist()
    assert [(row["key"], row["status"], row["error"]) for row in outcomes] == [
        ("good", "done", None), ("bad", "failed", "decode"), ("odd", "failed", "unexpected")]
    assert tables.read(workspace, "vocals")["track_id"].tolist() == ["good"]
    failures = tables.read(workspace, "failures").set_index("key")
    assert failures.loc["bad", ["stage", "uri", "error", "message"]].tolist() == [
        "separate", "/music/bad.mp3", "decode", "not audio"]
    assert failures.loc["odd", "message"] == "ZeroDivisionError: division by zero"


def test_the_same_items_again_double_nothing(workspace: Workspace):
    for _ in range(2):
        ledger = Ledger(workspace, "separate", "vocals")
        for key in ("a", "b"):
            with ledger.item(key):
                ledger.add(track_id=key)
        with ledger.item("c"):
            raise Problem("silent", "nothing to hear")
        ledger.commit()
    assert sorted(tables.read(workspace, "vocals")["track_id"]) == ["a", "b"]
    assert tables.failed_keys(workspace, "separate") == {"c"}
    assert len(tables.read(workspace, "failures")) == 1


def test_what_became_of_a_batch_takes_the_place_of_an_earlier_try(workspace: Workspace):
    for good, bad in (("a", "b"), ("b", "a")):
        ledger = Ledger(workspace, "separate", "vocals")
        with ledger.item(good):
            ledger.add(track_id=good)
        with ledger.item(bad):
            raise Problem("out_of_memory", "for once")
        ledger.commit()
    assert tables.read(workspace, "vocals")["track_id"].tolist() == ["b"]
    assert tables.failed_keys(workspace, "separate") == {"a"}
    ledger = Ledger(workspace, "separate", "vocals")
    for key in ("a", "b"):
        with ledger.item(key):
            ledger.add(track_id=key)
    ledger.commit()
    assert tables.failed_keys(workspace, "separate") == set()


def test_a_full_disk_ends_the_run_and_is_no_failure_of_the_item(workspace: Workspace):
    ledger = Ledger(workspace, "separate", "vocals")
    with pytest.raises(WorkspaceError, match="Free some space"), ledger.item("a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert ledger.failures == []


def test_an_item_that_kills_its_worker_is_given_up(workspace: Workspace):
    class Killed(BaseException):
        """Stands for the end of the process: nothing after it is run."""

    tries = 0
    for _ in range(MAX_CRASHES):
        ledger = Ledger(workspace, "separate", "vocals")
        with pytest.raises(Killed), ledger.item("poison"):
            tries += 1
            raise Killed
        assert Ledger(workspace, "separate", "vocals").crashes("poison") == tries
    ledger = Ledger(workspace, "separate", "vocals")
    assert ledger.survivors([{"key": "poison"}, {"key": "well"}], "key") == [{"key": "well"}]
    assert ledger.failures[0]["error"] == "crashed"
    assert "died 3 times" in ledger.failures[0]["message"]
    forget_crashes(workspace, "separate")
    assert ledger.crashes("poison") == 0


def test_an_item_that_succeeds_leaves_no_mark(workspace: Workspace):
    ledger = Ledger(workspace, "embed", "embeddings")
    with ledger.item("a"):
        assert ledger.crashes("a") == 1
    assert ledger.crashes("a") == 0


def test_a_part_is_named_by_its_items_whatever_their_order():
    assert batch_name(["a", "b"]) == batch_name(["b", "a"])
    assert batch_name(["a", "b"]) != batch_name(["ab"])
