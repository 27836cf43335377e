"""What is sent with a submitted job: the code, its config, and variables for its environment."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from ray._private.runtime_env.packaging import GCS_STORAGE_MAX_SIZE

from pipeline.store.errors import ConfigError

CODE = Path(__file__).resolve().parents[1]
TRAVELS = ("jobs", "pipeline", "encoder", "configs", "pyproject.toml")
LEFT_BEHIND = shutil.ignore_patterns("__pycache__", ".*")
CONFIG = "submitted.yaml"
MAX_BYTES = GCS_STORAGE_MAX_SIZE  # that Ray accepts, compressed
SHOWN = 3
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def pack(config_path: Path, folder: Path, code: Path = CODE) -> None:
    """Copy everything that a job needs into an empty folder, with its config as `submitted.yaml`.

    Raises:
        ConfigError: it is more than Ray accepts; the message names the largest files.
    """
    for name in TRAVELS:
        if (code / name).is_dir():
            shutil.copytree(
                code / name,
                folder / name,
                ignore=LEFT_BEHIND,
                symlinks=False,
                copy_function=_link,
                ignore_dangling_symlinks=True,
            )
        elif (code / name).exists():
            _link(code / name, folder / name)
    shutil.copyfile(config_path, folder / CONFIG)
    sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    if sum(sizes.values()) > MAX_BYTES:
        largest = sorted(sizes, key=lambda path: -sizes[path])[:SHOWN]
        raise ConfigError(
            f"the job would send {sum(sizes.values()) / 1e6:.0f} MB, but Ray accepts at most "
            f"{MAX_BYTES / 1e6:.0f} MB: move files that are not code elsewhere, first of all "
            + ", ".join(f"{path.relative_to(folder)} ({sizes[path] / 1e6:.0f} MB)" for path in largest)
        )


def _link(source: str | Path, target: str | Path) -> None:
    """Link a file, or copy it if source and target are on different disks."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def variables(names: Sequence[str], files: Sequence[str]) -> dict[str, str]:
    """Return variables for the job's environment.

    Args:
        names: names of variables of this process, or NAME=value.
        files: paths of files with lines NAME=value; empty lines and those that begin with # are skipped.

    Raises:
        ConfigError: a variable or a file is missing, or a line is no variable; values are never shown.
    """
    lines = [line.strip() for file in files for line in _lines(file)]
    found: dict[str, str] = {}
    for item in [*(line for line in lines if line and not line.startswith("#")), *names]:
        name, given, value = item.partition("=")
        if not NAME.fullmatch(name):
            raise ConfigError(
                "--env and --env-file take NAME or NAME=value, the name of letters, digits and _"
                + ("" if given else f", not {name[:40]!r}")
            )
        if not given and name not in os.environ:
            raise ConfigError(f"--env {name}: there is no such variable here")
        found[name] = value if given else os.environ[name]
    return found


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--env-file {file} cannot be read: {getattr(error, 'strerror', None) or error}") from error
