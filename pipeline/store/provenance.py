"""The config that made each table, so that one workspace never mixes the results of two configs."""

from typing import Any

import pyarrow.compute as pc
import yaml

from pipeline.sections import Config
from pipeline.store import tables
from pipeline.store.errors import WorkspaceError
from pipeline.store.workspace import Workspace

# What each stage makes, in the order in which the stages depend on each other. `voice_tracks/` and `voice_changes/` are
# not listed, since the names of voices outlive the clusters that have them.
MADE_BY = {
    "separate": ("vocals", "vocals_audio"),
    "shard": ("clips", "shards"),
    "embed": ("embeddings", "voices"),
    "cluster": ("clusters",),
    "tag": ("tags", "candidates", "review"),
    "export": ("conditioning", "vocalists.safetensors"),
}
ORDER = tuple(MADE_BY)


def claim(workspace: Workspace, config: Config, stage: str, **decided: Any) -> None:
    """Check that the stage's tables are new or were made by this config, and save the config.

    With `config.replace`, tables that another config made are removed, together with everything derived from them.

    Args:
        workspace: with the tables.
        config: of the run.
        stage: that makes the tables.
        decided: further values that determine the content, such as the encoder's id.

    Raises:
        WorkspaceError: another config made the tables; the message says which settings differ.
    """
    sections = ORDER[: ORDER.index(stage) + 1]
    mine, defaults = (yaml.safe_load(each.to_yaml(*sections)) for each in (config, Config()))
    table = MADE_BY[stage][0]
    theirs = saved(workspace, table)
    if theirs:
        different = _differences(theirs, mine | decided, defaults)
        if different and not config.replace:
            raise WorkspaceError(
                f"{workspace.uri(table)} was made by another config ({'; '.join(different)}). Use another "
                "workspace, or set replace=true to discard what was made and all that was derived from it."
            )
        if different:
            discard(workspace, stage)
    workspace.write_bytes(_config_name(table), yaml.safe_dump(mine | decided, sort_keys=False).encode())
    workspace.delete(_config_within(table))


def saved(workspace: Workspace, table: str) -> dict[str, Any]:
    """Return the config that made a table, and the further values that determined it; {} if nothing is known.

    Settings that no longer exist, and those that did not exist then, are missing.
    """
    for name in (_config_name(table), _config_within(table)):
        if workspace.exists(name):
            known = yaml.safe_load(Config().to_yaml())
            return {
                key: _still_known(value, known.get(key))
                for key, value in (yaml.safe_load(workspace.read_bytes(name)) or {}).items()
            }
    return {}


def _still_known(value: Any, default: Any) -> Any:
    if not (isinstance(value, dict) and isinstance(default, dict)):
        return value
    return {key: _still_known(inner, default[key]) for key, inner in value.items() if key in default}


def _config_name(table: str) -> str:
    return f"configs/{table}.yaml"


def _config_within(table: str) -> str:
    """Return where version 0.1 kept the config, on which readers that open every file of a folder fail."""
    return f"{table}/_config.yaml"


def discard(workspace: Workspace, stage: str) -> None:
    """Remove the tables and failures of a stage and of the stages after it."""
    for later in ORDER[ORDER.index(stage) :]:
        for table in MADE_BY[later]:
            tables.remove(workspace, table)
            workspace.delete(_config_name(table))
        forget_failures(workspace, later)


def forget_failures(workspace: Workspace, stage: str, kind: str | None = None) -> None:
    """Remove the failures of a stage, or those of one class, so that the next run tries those items again."""
    for name in tables.stage_parts(workspace, stage):
        rows = tables.read_part(workspace, name) if kind else None
        kept = rows.filter(pc.not_equal(rows["error"], kind)) if rows is not None else ()
        if rows is None or not len(kept):
            workspace.delete(name)
        elif len(kept) < len(rows):
            workspace.write_bytes(name, tables.parquet(kept))


def _differences(theirs: dict, mine: dict, defaults: dict, prefix: str = "") -> list[str]:
    """Return `key: theirs there, mine here` for each setting that differs, except those under `compute`.

    A setting that did not exist when `theirs` was saved counts with its default.
    """
    found = []
    for key in sorted(mine.keys() - {"compute"}):
        new = mine[key]
        default = defaults.get(key, new)
        old = theirs.get(key, default)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, default if isinstance(default, dict) else {}, f"{prefix}{key}.")
        elif old != new:
            found.append(f"{prefix}{key}: {old} there, {new} here")
    return found
