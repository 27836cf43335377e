"""On several nodes and on a failing store: nodes that die and are added, outages, killed drivers, too large a pool.

Each runs the real command in a process of its own against `ray.cluster_utils.Cluster`, whose nodes are processes here.
"""

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml

from pipeline.demo.mix import perform
from pipeline.demo.singer import draw_singers
from pipeline.store import tables
from pipeline.store.workspace import Workspace
from tests.jobs.test_train import FAST, write_clips

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]
RATE, N_TRACKS, TRACK_S = 44100, 8, 20.0
SETTINGS = {
    "separate": {"separator": "spleeter", "compute": {"cpus": 1, "batch": 2, "workers_max": 2}},
    "shard": {"compute": {"batch": 2}},
    "cluster": {"umap": False},
    "stages": ["scan", "separate", "shard", "embed"],
    "min_free_gb": 0,
}
STAGES = ("scan", "separate", "shard", "embed", "cluster", "tag")
KEYS = {
    "tracks": "track_id",
    "vocals": "track_id",
    "clips": "clip_id",
    "voices": "track_id",
    "clusters": "track_id",
    "tags": "track_id",
}


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write eight tracks."""
    folder = tmp_path_factory.mktemp("music")
    generator = np.random.default_rng(1)
    songs = [
        perform([singer], TRACK_S, "strings", RATE, generator).mix.T
        for singer in draw_singers(["ann", "bob"], generator)
    ]
    for i in range(N_TRACKS):
        soundfile.write(folder / f"{i} #{i}.flac", songs[i % 2][: round((TRACK_S - 0.1 * i) * RATE)], RATE)
    return folder


class Nodes:
    """A cluster in a process of its own, since whether Ray requires tokens is decided when it is loaded.

    Attributes:
        workers: how many nodes it has besides the head.
        environment: the variables by which commands find it.
    """

    KEEPER = """
import sys
from ray.cluster_utils import Cluster
node = dict(num_cpus=1, object_store_memory=100_000_000)
cluster = Cluster(initialize_head=True, head_node_args=node | dict(include_dashboard=False))
for line in sys.stdin:
    if line == "add\\n":
        cluster.add_node(**node)
    else:
        for worker in list(cluster.worker_nodes):
            cluster.remove_node(worker, allow_graceful=False)
    print("at", cluster.address, flush=True)
cluster.shutdown()
"""

    def __init__(self, environment: dict[str, str]):
        self.workers, self.environment = 0, environment
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.KEEPER],
            env=os.environ | environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def _say(self, word: str) -> None:
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        while not (line := self.process.stdout.readline()).startswith("at "):
            assert line, "the cluster has ended"
        self.environment["RAY_ADDRESS"] = line.split()[1]

    def add(self) -> None:
        """Add a worker."""
        self._say("add")
        self.workers += 1

    def kill_workers(self) -> None:
        """Kill all nodes but the head."""
        self._say("kill")
        self.workers = 0

    def close(self) -> None:
        """End the cluster."""
        self.process.stdin.close()
        self.process.wait(60)


@pytest.fixture(scope="module")
def nodes(loopback_store) -> Iterator[Nodes]:
    """Start a head with token authentication, whose nodes know the store, for all tests that need a cluster."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # a socket's path must be short
    (folder / "token").write_text("a" * 64)
    tokens = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(folder / "token"), "RAY_TMPDIR": str(folder)}
    nodes = Nodes(loopback_store.environment | tokens)
    yield nodes
    nodes.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster(nodes: Nodes, object_store, monkeypatch: pytest.MonkeyPatch) -> Nodes:
    """Return the cluster, with two workers; the environment names it and the store."""
    while nodes.workers < 2:
        nodes.add()
    for name, value in nodes.environment.items():
        monkeypatch.setenv(name, value)
    return nodes


@pytest.fixture
def write_config(tmp_path: Path, music: Path, object_store) -> Callable[..., Path]:
    """Return a function from settings to a config whose catalogue and workspace are on the store."""
    bucket = object_store.bucket()
    for path in music.iterdir():
        with object_store.client().open_output_stream(f"{bucket[5:]}/music/{path.name}") as sink:
            sink.write(path.read_bytes())

    def write(**settings: object) -> Path:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.yaml"
        places = {"workspace": f"{bucket}/workspace", "catalogue": f"{bucket}/music"}
        path.write_text(yaml.safe_dump(SETTINGS | places | settings))
        return path

    return write


def start(config: Path, *command: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-u", *(command or ("-m", "jobs.run")), str(config)],
        cwd=ROOT,
        text=True,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def until(process: subprocess.Popen, words: str) -> str:
    """Read what a command prints up to a line with these words."""
    text = ""
    for line in process.stdout:
        text += line
        if re.search(words, line):
            return text
    raise AssertionError(f"it ended before {words!r}: {text}")


def stop(process: subprocess.Popen, number: signal.Signals) -> None:
    """Send a signal, and SIGKILL to a process that has not ended soon after, as Ray does when it stops a job."""
    process.send_signal(number)
    try:
        process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate(timeout=60)


def finished(process: subprocess.Popen, before: str = "") -> str:
    text = before + process.communicate(timeout=600)[0]
    assert process.returncode == 0, text
    return text


def workspace_of(config: Path) -> Workspace:
    return Workspace(yaml.safe_load(config.read_text())["workspace"])


def rows(workspace: Workspace, table: str, key: str) -> pd.DataFrame:
    """Return a table by its key, without vectors, audio and locations."""
    frame = tables.read(workspace, table).sort_values(key).reset_index(drop=True)
    assert frame[key].is_unique
    return frame.drop(columns=["embedding", "audio", "vocals_uri", "shard", "uri", "modified_at"], errors="ignore")


@pytest.fixture(scope="module")
def undisturbed(music: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return the workspace of an undisturbed run on this machine's disk."""
    folder = tmp_path_factory.mktemp("undisturbed")
    places = {"workspace": str(folder / "workspace"), "catalogue": str(music)}
    (folder / "c.yaml").write_text(yaml.safe_dump(SETTINGS | places | {"stages": list(STAGES)}))
    finished(start(folder / "c.yaml", RAY_ADDRESS=""))
    return workspace_of(folder / "c.yaml")


def assert_equal(found: Workspace, expected: Workspace, *names: str) -> None:
    """Compare tables, and check that nothing has failed."""
    for name in names:
        left, right = (rows(workspace, name, KEYS[name]) for workspace in (found, expected))
        pd.testing.assert_frame_equal(left, right, atol=0.02, rtol=0.02, obj=name)
    assert tables.read(found, "failures").empty


def test_outages_are_waited_out_and_change_nothing(object_store, write_config, undisturbed):
    config = write_config()
    run = start(config, RAY_ADDRESS="")
    said = until(run, "separate .* to do")
    time.sleep(5)
    object_store.outage(10)
    said += until(run, "shard .* to do")
    object_store.outage(25)  # longer than a client's own few attempts last
    said = finished(run, said)
    assert "Traceback" not in said
    assert_equal(workspace_of(config), undisturbed, "tracks", "vocals", "clips", "voices")


def test_a_driver_killed_in_each_stage_loses_and_duplicates_nothing_on_a_store(write_config, undisturbed):
    config = write_config(stages=list(STAGES))
    signals = itertools.cycle([signal.SIGKILL, signal.SIGTERM])
    for before, stage, number in zip([None, *STAGES], STAGES, signals, strict=False):
        run = start(config, RAY_ADDRESS="")
        pooled = {"separate": 2, "shard": 0.5, "embed": 0.5}.get(stage)  # s: their pool starts, but is not done
        until(run, rf"^ *{stage} .* to do" if pooled else rf"^ *{before} .* done, " if before else "to do")
        time.sleep(pooled or 0.2)
        stop(run, number)
    finished(start(config, RAY_ADDRESS=""))
    assert_equal(workspace_of(config), undisturbed, *KEYS)
    runs = tables.read(workspace_of(config), "runs")
    assert set(runs.loc[runs["status"] != "ok", "stage"]) >= {"separate", "shard", "embed"}


def test_an_endless_outage_ends_the_run_with_a_message(object_store, write_config):
    config = write_config(stages=["scan"])
    object_store.outage(3600)
    run = start(config, RAY_ADDRESS="")
    said, _ = run.communicate(timeout=120)
    assert run.returncode == 2
    assert "nothing answers there" in said
    assert len(said.splitlines()) == 1


def test_nodes_may_die_and_be_added_while_tracks_are_separated_and_embedded(cluster, write_config, undisturbed):
    config = write_config()
    run = start(config)
    said = until(run, "separate .* to do")
    while not workspace_of(config).list_all("vocals_audio"):
        assert run.poll() is None
        time.sleep(0.5)
    cluster.kill_workers()
    cluster.add()
    said += until(run, "embed .* to do")
    cluster.kill_workers()
    cluster.add()
    said = finished(run, said)
    assert "Traceback" not in said
    assert_equal(workspace_of(config), undisturbed, "tracks", "vocals", "clips", "voices")


SOON = """
import functools, sys, ray.train
from jobs import engine, train
# Ray Train looks once a minute whether it could have more workers.
ray.train.ScalingConfig = functools.partial(ray.train.ScalingConfig, elastic_resize_monitor_interval_s=5)
sys.exit(engine.main(train.STAGE))
"""


def test_training_survives_the_loss_of_nodes_and_follows_the_clusters_size(cluster, write_config):
    more = {"steps": 100_000, "validate_every": 100_000}  # than it comes to, however fast the machine
    often = {"checkpoint_every": 10, "log_every": 5, "workers": 2, "workers_min": 1, "max_failures": 2}
    config = write_config(shard={"sample_rate_hz": 44100}, train=FAST | more | often)
    write_clips(workspace_of(config))
    run = start(config, "-c", SOON, RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S="20")
    until(run, "step 30 ")
    cluster.kill_workers()
    said = until(run, "now on 1 worker$")
    cluster.add()
    said += until(run, "now on 2 workers$")
    said += until(run, "step ")
    run.send_signal(signal.SIGINT)
    said += run.communicate(timeout=60)[0]
    assert run.returncode == 130
    assert "Traceback" not in said
    assert min(map(int, re.findall(r"step (\d+) ", said))) > 10, said  # from a checkpoint, not from the beginning


def test_a_pool_that_fits_no_node_is_reported(cluster, write_config):
    config = write_config(stages=["scan"], scan={"compute": {"cpus": 64}})
    code = (
        "import sys; from jobs import connect, scan, engine; connect.PLACE_S = 3; "
        "sys.exit(engine.main(scan.STAGE, sys.argv[1:]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(config)], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 2, run.stdout + run.stderr
    assert "no node has 64 CPU" in run.stdout
    assert "did not start 1 workers of 64 CPU" in run.stderr
    assert "Traceback" not in run.stderr
