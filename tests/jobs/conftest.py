"""A small rendered catalogue, and one run of all stages on it, which the tests of the jobs inspect."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from jobs.run import run_stages
from pipeline.config import Config, load
from pipeline.demo import truth
from pipeline.demo.catalogue import render_catalogue
from pipeline.sections import RenderConfig
from pipeline.store.workspace import Workspace

SMALL = RenderConfig(singers=3, songs=3, song_s=12, odd_files=True)
SETTINGS = {
    "stages": ["scan", "separate", "shard", "train", "embed", "cluster", "tag", "report"],
    "min_free_gb": 0,
    "separate": {"separator": "spleeter", "compute": {"cpus": 2, "batch": 4}},
    "shard": {"sample_rate_hz": 44100},
    "train": {"size": "tiny", "init": None, "steps": 4, "batch": 4, "validate_every": 4, "checkpoint_every": 2},
    "embed": {"encoder": "trained"},
    "cluster": {"umap": False},  # it compiles for longer than a stage takes
}


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small rendered catalogue with its truth.csv and known.csv."""
    folder = tmp_path_factory.mktemp("music") / "catalogue"
    render_catalogue(folder, SMALL)
    return folder


@pytest.fixture(scope="session")
def chain_config(catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Config]:
    """Return a function that gives the small chain's config for a workspace, with further settings."""

    def make(workspace: Path, **settings: object) -> Config:
        path = tmp_path_factory.mktemp("configs") / "chain.yaml"
        places = {"workspace": str(workspace), "catalogue": str(catalogue), "known": str(catalogue / "known.csv")}
        path.write_text(yaml.safe_dump(SETTINGS | places | settings))
        return load(path)

    return make


@pytest.fixture(scope="session")
def chain(ray_cluster: None, chain_config: Callable[..., Config], tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Return the config of a chain that has been run; its workspace is not to be changed."""
    config = chain_config(tmp_path_factory.mktemp("chain") / "workspace")
    assert run_stages(config) == 0
    return config


@pytest.fixture(scope="session")
def chain_workspace(chain: Config) -> Workspace:
    """Return the finished chain's workspace."""
    return Workspace(chain.workspace)


@pytest.fixture(scope="session")
def chain_truth(chain: Config) -> pd.DataFrame:
    """Return the truth of the small catalogue."""
    return truth.read_truth(Path(str(chain.catalogue)) / "truth.csv")
