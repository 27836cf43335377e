"""Read the config of one catalogue run from a file, and from settings that override it."""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pipeline.sections import STAGES, Config
from pipeline.store.errors import ConfigError

__all__ = ["STAGES", "Config", "load"]


def load(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a config file and set `section.key=value` overrides.

    The value of a text setting, such as a path, is taken literally; any other value is read as YAML.

    Raises:
        ConfigError: the file, a key or a value is wrong; the message names it.
    """
    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"cannot read the config {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} is not a config: it holds a {type(data).__name__}, not sections and keys")
    data = {key: value for key, value in data.items() if value is not None}  # None is an empty section
    for override in overrides:
        _override(data, override)
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{path}: " + "; ".join(_explain(item) for item in error.errors())) from error


def _override(data: dict[str, Any], override: str) -> None:
    name, equals, value = override.partition("=")
    if not equals:
        raise ConfigError(f"{override!r} is not a setting; write it as section.key=value")
    try:
        override.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(value).decode(errors="backslashreplace")
        raise ConfigError(f"{name} = {shown}: this name is not UTF-8; rename it first") from None
    *sections, key = name.split(".")
    for section in sections:
        data = data.setdefault(section, {})
        if not isinstance(data, dict):
            raise ConfigError(f"{name}: {section} is a value, not a section")
    data[key] = _value(name, value)


def _value(name: str, text: str) -> Any:
    """Return the value of a setting given as text; empty or `null` means none."""
    if text in ("", "null"):
        return None
    *sections, key = name.split(".")
    field = getattr(_model(sections), "model_fields", {}).get(key)
    if field is not None and field.annotation in (str, str | None):
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} = {text}: not valid YAML: {error}") from error


def _model(sections: Sequence[str]) -> Any:
    """Return the class of a section, by its name and those of the sections around it, or None if there is none."""
    model: Any = Config
    for section in sections:
        field = getattr(model, "model_fields", {}).get(section)
        model = field.annotation if field else None
    return model


def _explain(item: Any) -> str:
    """Return a message for one validation error; for an unknown key it suggests the nearest one."""
    place = [str(part) for part in item["loc"]]
    if item["type"] != "extra_forbidden":
        return f"{'.'.join(place)} = {item['input']!r}: {item['msg']}"
    near = difflib.get_close_matches(place[-1], list(getattr(_model(place[:-1]), "model_fields", ())), 1)
    return f"unknown key {'.'.join(place)}" + (f" (did you mean {near[0]}?)" if near else "")
