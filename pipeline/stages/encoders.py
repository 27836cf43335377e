"""The encoder that a config names: find it, load it, and check that the clips suit it."""

import tempfile
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

import encoder
from pipeline.store import weights
from pipeline.store.errors import ConfigError
from pipeline.store.workspace import Workspace


def find_encoder(workspace: Workspace, name: str) -> str:
    """Return the source that `encoder.load` takes for an encoder's name; a remote encoder is fetched.

    Raises:
        ConfigError: the name is `trained`, and nothing has been trained.
    """
    name = known_as(workspace, name)
    if name.startswith("hf://") and (folder := weights.prepared(name.removeprefix("hf://"))):
        return str(folder)
    if not workspace.exists(f"encoders/{name}/model.safetensors"):
        return name
    if not workspace.remote:
        return workspace.path(f"encoders/{name}")
    local = Path(tempfile.gettempdir()) / "vocatlas-encoders" / name
    weights.fetch(workspace.fs, workspace.path(f"encoders/{name}"), local)
    return str(local)


def known_as(workspace: Workspace, name: str) -> str:
    """Return the name by which all workers find the same encoder: for `trained`, the id of the newest one.

    Raises:
        ConfigError: the name is `trained`, and nothing has been trained.
    """
    return newest_encoder(workspace) if name == "trained" else name


def newest_encoder(workspace: Workspace) -> str:
    """Return the id of the encoder that was trained last in this workspace.

    Raises:
        ConfigError: there is none.
    """
    selector = pafs.FileSelector(workspace.path("encoders"), recursive=True, allow_not_found=True)
    found = [info for info in workspace.fs.get_file_info(selector) if info.base_name == "model.safetensors"]
    if not found:
        raise ConfigError(
            f"embed.encoder=trained, but {workspace.uri('encoders')} is empty: "
            "run the train stage first, or set embed.encoder=default"
        )
    return max(found, key=lambda info: info.mtime_ns or 0).path.split("/")[-2]


def load_encoder(workspace: Workspace, name: str) -> Any:
    """Return the encoder of that name.

    Raises:
        ConfigError: it does not exist or cannot be read.
    """
    try:
        return encoder.load(find_encoder(workspace, name))
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"embed.encoder={name}: {error}") from error


def check_rate(setting: str, needs_hz: int, clips_hz: int) -> None:
    """Check that the clips' sample rate is high enough for an encoder.

    Args:
        setting: that selects the encoder, as written in a config.
        needs_hz: the encoder's sample rate.
        clips_hz: the clips' sample rate.

    Raises:
        ConfigError: it is not.
    """
    if needs_hz > clips_hz:
        raise ConfigError(
            f"{setting} needs clips at {needs_hz} Hz, and they are stored at {clips_hz} Hz: "
            f"set shard.sample_rate_hz={needs_hz}"
        )
