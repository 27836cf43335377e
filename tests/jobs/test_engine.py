import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from jobs import engine
from pipeline.sections import Compute
from pipeline.store import tables
from pipeline.store.errors import Problem
from pipeline.store.ledger import Ledger
from pipeline.store.workspace import Workspace

ROOT = Path(__file__).parents[2]
ROWS = pa.table({"track_id": [f"t{i:02d}" for i in range(20)]})


def gpu_error(text: str) -> Exception:
    import torch  # here, so that the other workers need not load it

    return torch.AcceleratorError(f"CUDA error: {text}")


class Worker:
    """Writes a row per track; on the tracks that the constructor names, something goes wrong."""

    def __init__(self, workspace: str, special: dict[str, str]):
        self.workspace, self.special = Workspace(workspace), special
        if "the model" in special:
            raise gpu_error("device-side assert triggered\nCompile with TORCH_USE_CUDA_DSA")

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
                if what == "loses the GPU" and not marker.exists():
                    marker.touch()
                    raise gpu_error("an illegal memory access was encountered\nCUDA kernel...")
                if what == "kills" or (what == "kills once" and not marker.exists()):
                    marker.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                ledger.add(track_id=row["track_id"])
        return ledger.commit()


def stage(name, work):
    return engine.Stage(name, "A stage of a test.", work)


def run_worker(config, special: dict[str, str]) -> int:
    def body(config, run):
        todo = ROWS.filter(
            pa.array(
                [key not in tables.keys(run.workspace, "vocals", "track_id") for key in ROWS["track_id"].to_pylist()]
            )
        )
        run.map(
            Worker,
            todo,
            Compute(workers_max=2, batch=4),
            skipped=len(ROWS) - len(todo),
            arguments=(config.workspace, special),
        )

    return engine.guarded(lambda: engine.execute(stage("separate", body), config))


@pytest.mark.slow
def test_killed_workers_and_bad_tracks_lose_and_duplicate_nothing(ray_cluster, make_config, workspace, capsys):
    special = {"t03": "fails", "t05": "kills once", "t10": "kills", "t13": "kills once"}
    assert run_worker(make_config(), special) == 0
    done = sorted(set(ROWS["track_id"].to_pylist()) - {"t03", "t10"})
    assert sorted(tables.read(workspace, "vocals")["track_id"]) == done
    failures = tables.read(workspace, "failures").sort_values("key")
    assert failures[["key", "error"]].to_numpy().tolist() == [["t03", "decode"], ["t10", "crashed"]]
    text = capsys.readouterr().out
    assert "18 tracks done, 0 skipped, 2 failed" in text
    assert "decode 1" in text
    assert "crashed 1" in text

    assert run_worker(make_config(retry_failed=True), {}) == 0
    assert sorted(tables.read(workspace, "vocals")["track_id"]) == ROWS["track_id"].to_pylist()
    assert len(tables.read(workspace, "failures")) == 0
    runs = tables.read(workspace, "runs").sort_values("started_at")
    assert runs[["stage", "status", "done", "skipped", "failed"]].to_numpy().tolist() == [
        ["separate", "ok", 18, 0, 2],
        ["separate", "ok", 2, 18, 0],
    ]
    assert "ray" in runs["versions"].iloc[0]
    assert "workspace:" in runs["config"].iloc[0]


def test_a_process_that_lost_its_gpu_is_replaced(ray_cluster, make_config, workspace, capsys):
    assert run_worker(make_config(), {"t03": "loses the GPU", "t12": "loses the GPU"}) == 0
    assert sorted(tables.read(workspace, "vocals")["track_id"]) == ROWS["track_id"].to_pylist()
    assert "20 tracks done, 0 skipped, 0 failed" in capsys.readouterr().out


def test_a_gpu_too_small_for_the_model_ends_the_run_with_a_message(ray_cluster, make_config, capsys):
    assert run_worker(make_config(), {"the model": "is too much"}) == 2
    assert capsys.readouterr().err == "error: the GPU cannot be used: CUDA error: device-side assert triggered\n"


def test_a_full_disk_ends_the_run_with_a_message(ray_cluster, make_config, workspace, capsys):
    assert run_worker(make_config(), {"t01": "disk full"}) == 2
    error = capsys.readouterr().err
    assert "error: cannot write: No space left on device" in error
    assert "Traceback" not in error


def test_more_failures_than_allowed_is_exit_status_one(ray_cluster, make_config, workspace, capsys):
    special = dict.fromkeys(ROWS["track_id"].to_pylist()[:6], "fails")
    assert run_worker(make_config(max_failed_fraction=0.25), special) == 1
    assert "more than max_failed_fraction=0.25 failed" in capsys.readouterr().out
    assert tables.read(workspace, "runs")["status"].tolist() == ["too many failed"]


def test_an_unwritable_workspace_stops_before_work(make_config, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    config = make_config(workspace=str(tmp_path / "file" / "inside"))
    assert engine.guarded(lambda: engine.execute(stage("scan", lambda *_: pytest.fail("work began")), config)) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_second_run_on_a_workspace_is_refused_before_it_touches_anything(make_config, workspace, capsys):
    code = f"""if True:
        import time
        from pipeline.store import lock
        from pipeline.store.workspace import Workspace
        with lock.hold(Workspace({workspace.root!r}), "separate", print):
            print("held", flush=True)
            time.sleep(60)"""
    workspace.write_bytes("_in_work/separate/mark", b"1")
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout and first.stdout.readline() == "held\n"
        config = make_config()
        idle = stage("separate", lambda *_: pytest.fail("work began"))
        assert engine.guarded(lambda: engine.execute(idle, config)) == 2
        assert f"(process {first.pid}, separate, since " in capsys.readouterr().err
        assert workspace.exists("_in_work/separate/mark")
        first.kill()
        first.wait()
    assert engine.execute(stage("separate", lambda *_: None), make_config()) == 0
    assert "taking over from" in capsys.readouterr().out


def test_ctrl_c_is_exit_status_130_and_one_line_that_says_how_to_continue(capsys):
    def work() -> int:
        raise KeyboardInterrupt

    assert engine.guarded(work) == 130
    line = "interrupted: the same command continues where this one stopped\n"
    assert capsys.readouterr().err == line
    loading = subprocess.run(
        [sys.executable, "-c", "import jobs; raise KeyboardInterrupt"], cwd=ROOT, capture_output=True, text=True
    )
    assert (loading.returncode, loading.stderr) == (130, line)


def test_an_extra_that_is_not_installed_is_reported_before_work(make_config, capsys):
    engine.extra("pytest", "dev")
    train = engine.Stage(
        "train", "", lambda *_: pytest.fail("work began"), check=lambda _: engine.extra("no_such", "train")
    )
    assert engine.guarded(lambda: engine.execute(train, make_config())) == 2
    assert "no_such is not installed: it comes with pip install 'vocatlas[train]'" in capsys.readouterr().err


def test_settings_come_one_by_one_or_in_one_string(tmp_path, capsys):
    (tmp_path / "c.yaml").write_text(f"workspace: {tmp_path / 'w'}\nmin_free_gb: 0\n")
    seen = []
    words = [str(tmp_path / "c.yaml"), "seed=7", "--set", "max_failed_fraction=0.2 known='my names.csv'"]
    assert engine.main(stage("report", lambda config, run: seen.append(config)), words) == 0
    assert (seen[0].seed, seen[0].max_failed_fraction, seen[0].known) == (7, 0.2, "my names.csv")


def test_arguments_are_a_config_and_settings(tmp_path, capsys):
    (tmp_path / "c.yaml").write_text(f"workspace: {tmp_path / 'w'}\nmin_free_gb: 0\n")
    seen = []
    report = stage("report", lambda config, run: seen.append(config.seed))
    status = engine.main(report, [str(tmp_path / "c.yaml"), "seed=7"])
    assert (status, seen) == (0, [7])
    assert engine.main(stage("report", lambda *_: None), [str(tmp_path / "c.yaml"), "sed=7"]) == 2
    assert "unknown key sed (did you mean seed?)" in capsys.readouterr().err
