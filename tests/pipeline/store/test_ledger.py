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
        ("good", "done", None),
        ("bad", "failed", "decode"),
        ("odd", "failed", "unexpected"),
    ]
    assert tables.read(workspace, "vocals")["track_id"].tolist() == ["good"]
    failures = tables.read(workspace, "failures").set_index("key")
    assert failures.loc["bad", ["stage", "uri", "error", "message"]].tolist() == [
        "separate",
        "/music/bad.mp3",
        "decode",
        "not audio",
    ]
    assert failures.loc["odd", "message"] == "ZeroDivisionError: division by zero"


def test_repeating_the_same_items_duplicates_nothing(workspace: Workspace):
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


def test_a_batchs_outcomes_replace_those_of_an_earlier_attempt(workspace: Workspace):
    for bad in ("b", "a", ""):
        ledger = Ledger(workspace, "separate", "vocals")
        for item in ledger.survivors([{"key": "a"}, {"key": "b"}], "key"):
            with ledger.item(item["key"]):
                if item["key"] == bad:
                    raise Problem("out_of_memory", "for once")
                ledger.add(track_id=item["key"])
        ledger.commit()
        assert set(tables.read(workspace, "vocals")["track_id"]) == {"a", "b"} - {bad}
        assert tables.failed_keys(workspace, "separate") == {bad} - {""}


def test_a_full_disk_ends_the_run_and_is_not_a_failure_of_the_item(workspace: Workspace):
    ledger = Ledger(workspace, "separate", "vocals")
    with pytest.raises(WorkspaceError, match="Free some space"), ledger.item("a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert ledger.failures == []


class Killed(BaseException):
    """Stands for the end of the process: nothing runs after it."""


def test_an_item_that_kills_its_worker_is_given_up(workspace: Workspace):
    items = [{"key": "well"}, {"key": "poison"}]
    for tries in range(MAX_CRASHES + 1):  # the first crash is not yet known to be the item's
        ledger = Ledger(workspace, "separate", "vocals")
        assert ledger.survivors(items, "key") == items
        assert ledger.crashes("poison") == max(0, tries - 1)
        with ledger.item("well"):
            pass
        with pytest.raises(Killed), ledger.item("poison"):
            raise Killed
    ledger = Ledger(workspace, "separate", "vocals")
    assert ledger.survivors(items, "key") == [{"key": "well"}]
    assert ledger.failures[0]["error"] == "crashed"
    assert "died 3 times" in ledger.failures[0]["message"]
    forget_crashes(workspace, "separate")
    assert Ledger(workspace, "separate", "vocals").survivors(items, "key") == items


def test_repeating_a_batch_without_an_item_that_failed_replaces_its_part(workspace: Workspace):
    for killed in (False, True):
        ledger = Ledger(workspace, "shard", "clips")
        for item in ledger.survivors([{"key": key} for key in "abc"], "key"):
            if item["key"] == "c" and killed:
                ledger.fail("c", Problem("crashed", "its worker died"))
                continue
            with ledger.item(item["key"]):
                ledger.add(clip_id=item["key"], track_id=item["key"])
        ledger.commit()
    assert sorted(tables.read(workspace, "clips")["clip_id"]) == ["a", "b"]


def test_a_batch_without_trouble_takes_three_requests(object_store):
    ledger = Ledger(Workspace(object_store.bucket()), "scan", "files")
    for item in ledger.survivors([{"key": f"{i}"} for i in range(64)], "key"):
        with ledger.item(item["key"]):
            ledger.add(uri=item["key"])
    ledger.commit()
    assert object_store.kinds() == {"HEAD": 1, "PUT": 2}


def test_a_part_is_named_by_its_items_whatever_their_order():
    assert batch_name(["a", "b"]) == batch_name(["b", "a"])
    assert batch_name(["a", "b"]) != batch_name(["ab"])
