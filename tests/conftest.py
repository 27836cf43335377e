"""Fixtures that several test files share."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config import Config, load
from pipeline.store.workspace import Workspace

WITH_A_RAY_OF_THEIR_OWN = ("test_on_a_cluster.py", "test_separate_faults.py", "test_submit.py")
# Begun first, so that at the end no process waits for one of these; the scheduler would begin with the most tests.
LONG = ("tests/jobs/test_on_a_cluster.py", "tests/jobs/bench/test_scale.py", "tests/jobs/test_", "tests/jobs/bench/")
NOBODY = 65534  # the user id
SHARED_AUDIO = Path(__file__).resolve().parents[2] / "shared" / "audio"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Distribute files over processes; those of the jobs stay in one, so that Ray and the chain start only once."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = str(super()._split_scope(nodeid))
            shared = file.startswith("tests/jobs/test_") and Path(file).name not in WITH_A_RAY_OF_THEIR_OWN
            return "jobs" if shared else file

    config.option.loadscopereorder = False
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what is long first."""
    items.sort(key=lambda item: next((i for i, start in enumerate(LONG) if item.nodeid.startswith(start)), len(LONG)))


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., Config]:
    """Return a function from nested settings to a config whose workspace is a fresh folder."""

    def make(**settings: Any) -> Config:
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump({"workspace": str(tmp_path / "workspace"), "min_free_gb": 0, **settings}))
        return load(path)

    return make


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a fresh workspace; `make_config` names the same folder."""
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def folder_of_nobody() -> Iterator[Path]:
    """Return an empty folder, for a test that runs as a user to whom permissions apply, unlike root."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(NOBODY)
        yield Path(folder)
        if is_root:
            os.seteuid(0)
        for path in Path(folder).iterdir():
            path.chmod(0o755)


@pytest.fixture(scope="session")
def loopback_store() -> Iterator[Any]:
    """Start one S3 server on loopback for all tests that need it."""
    from jobs.bench.object_store import ObjectStore

    store = ObjectStore()
    yield store
    store.close()


@pytest.fixture
def object_store(loopback_store: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return the S3 server, without trouble and with no request counted; this process's environment names it."""
    loopback_store.calm()
    for name, value in loopback_store.environment.items():
        monkeypatch.setenv(name, value)
    yield loopback_store
    loopback_store.calm()


@pytest.fixture(scope="session")
def ray_cluster(loopback_store: Any) -> Iterator[None]:
    """Start one small Ray on this machine for all tests that need it; its workers know the store on loopback."""
    import ray

    os.environ.update(loopback_store.environment)

    ray.init(
        address="local",
        num_cpus=2,
        object_store_memory=200_000_000,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def shared_audio() -> Path:
    """Return the folder of real recordings, or skip."""
    if not SHARED_AUDIO.is_dir():
        pytest.skip(f"no real recordings at {SHARED_AUDIO.name}: they are not part of the project")
    return SHARED_AUDIO
