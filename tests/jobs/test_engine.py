import os
import signal
from pathlib import Path

import pyarrow as pa
import pytest

from jobs import engine
from pipeline import tables
from pipeline.errors import ConfigError, Problem
from pipeline.frozen import Compute
from pipeline.ledger import Ledger
from pipeline.workspace import Workspace

ROWS = pa.table({"track_id": [f"t{i:02d}" for i in range(20)]})


class Worker:
    """Writes a row per track; odd things happen to the tracks that the constructor names."""

    def __init__(self, config, special: dict[str, str]):
        self.workspace, self.special = Workspace(config.workspace), special

    def __call__(self, batch: pa.Table) -> pa.Table:
        ledger = Ledger(self.workspace, "separate", "vocals")
        for row in ledger.survivors(batch.to_pylist(), "track_id"):
            with ledger.item(row["track_id"], track_id=row["track_id"]):
                what = self.special.get(row["track_id"])
                marker = Path(self.workspace.path(f"seen-{row['track_id']}"))
                if what == "fails":
                    raise Problem("decode", "not audio")
                if what == "disk full":
                    raise OSError(28, "No space left on device")
                if what == "kills" or (what == "kills once" and not marker.exists()):
                    marker.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                ledger.add(track_id=row["track_id"])
        return ledger.commit()


def run_worker(config, special: dict[str, str]) -> int:
    def body(config, run):
        todo = ROWS.filter(pa.array([key not in tables.keys(run.workspace, "vocals", "track_id")
                                     for key in ROWS["track_id"].to_pylist()]))
        run.map(Worker, todo, Compute(workers_max=2, batch=4), skipped=len(ROWS) - len(todo), arguments=(special,))

    return engine.guarded(lambda: engine.execute("separate", body, config))


def test_a_run_is_done_counted_recorded_and_done_once(ray_cluster, make_config, workspace, capsys):
    assert run_worker(make_config(), {"t03": "fails"}) == 0
    assert run_worker(make_config(), {}) == 0
    assert sorted(tables.read(workspace, "vocals")["track_id"]) == ROWS["track_id"].to_pylist()
    runs = tables.read(workspace, "runs").sort_values("started_at")
    assert runs[["stage", "status", "done", "skipped", "failed"]].to_numpy().tolist() == [
        ["separate", "ok", 19, 0, 1], ["separate", "ok", 1, 19, 0]]
    assert "ray" in runs["versions"].iloc[0]
    assert "workspace:" in runs["config"].iloc[0]
    assert "19 done, 0 skipped, 1 failed (decode 1)" in capsys.readouterr().out


def test_a_worker_that_is_killed_loses_and_doubles_nothing(ray_cluster, make_config, workspace):
    assert run_worker(make_config(), {"t05": "kills once", "t13": "kills once"}) == 0
    assert sorted(tables.read(workspace, "vocals")["track_id"]) == ROWS["track_id"].to_pylist()
    assert len(tables.read(workspace, "failures")) == 0


def test_a_track_that_kills_every_worker_is_a_failure(ray_cluster, make_config, workspace):
    assert run_worker(make_config(), {"t05": "kills"}) == 0
    assert len(tables.read(workspace, "vocals")) == 19
    failures = tables.read(workspace, "failures")
    assert failures[["key", "error"]].to_numpy().tolist() == [["t05", "crashed"]]


def test_a_full_disk_ends_the_run_in_words(ray_cluster, make_config, workspace, capsys):
    assert run_worker(make_config(), {"t01": "disk full"}) == 2
    error = capsys.readouterr().err
    assert "error: cannot write: No space left on device" in error
    assert "Traceback" not in error


def test_more_failures_than_allowed_is_exit_status_one(ray_cluster, make_config, workspace, capsys):
    special = dict.fromkeys(ROWS["track_id"].to_pylist()[:6], "fails")
    assert run_worker(make_config(max_failed_fraction=0.25), special) == 1
    assert "more than max_failed_fraction=0.25 failed" in capsys.readouterr().out
    assert tables.read(workspace, "runs")["status"].tolist() == ["too many failed"]


def test_failed_items_can_be_tried_again(ray_cluster, make_config, workspace):
    run_worker(make_config(), {"t03": "fails"})
    assert tables.failed_keys(workspace, "separate") == {"t03"}
    run_worker(make_config(retry_failed=True), {})
    assert tables.failed_keys(workspace, "separate") == set()
    assert len(tables.read(workspace, "vocals")) == 20


def test_a_pool_that_this_machine_can_never_hold_is_told(ray_cluster):
    with pytest.raises(ConfigError, match="9 workers of 1 CPU"):
        engine.start_ray(Compute(workers_min=9, workers_max=9))
    with pytest.raises(ConfigError, match="GPU"):
        engine.start_ray(Compute(gpus=64))


def test_an_unwritable_workspace_stops_before_work(make_config, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    config = make_config(workspace=str(tmp_path / "file" / "inside"))
    assert engine.guarded(lambda: engine.execute("scan", lambda *_: pytest.fail("work began"), config)) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_arguments_are_a_config_and_settings(tmp_path, capsys):
    (tmp_path / "c.yaml").write_text(f"workspace: {tmp_path / 'w'}\nmin_free_gb: 0\n")
    seen = []
    status = engine.main("report", lambda config, run: seen.append(config.seed), [str(tmp_path / "c.yaml"), "seed=7"])
    assert (status, seen) == (0, [7])
    assert engine.main("report", lambda *_: None, [str(tmp_path / "c.yaml"), "sed=7"]) == 2
    assert "unknown key sed (did you mean seed?)" in capsys.readouterr().err


@pytest.mark.parametrize(("rows", "batch", "blocks"), [(20, 4, 5), (21, 4, 6), (3, 8, 1), (100_000, 1, 4000)])
def test_blocks_are_whole_batches_and_not_too_many(rows, batch, blocks):
    found = engine._in_blocks(pa.table({"x": range(rows)}), batch)
    assert len(found) == blocks
    assert all(len(block) % batch == 0 for block in found[:-1])
    assert sum(len(block) for block in found) == rows
