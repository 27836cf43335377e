"""What a config asks to evaluate: the sets with their recordings and trials, and the encoders that are available.

What is missing or cannot be read becomes a row of `failures/` with the reason, and the rest goes on.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import encoder
from pipeline.config import Config
from pipeline.evaluate import adapters, baselines, conditions, datasets, trials, vectors
from pipeline.evaluate.datasets import Recording
from pipeline.evaluate.trials import Trials
from pipeline.sections import ALL_ENCODERS, EvaluateConfig, SetConfig
from pipeline.stages.encoders import find_encoder
from pipeline.store.errors import ConfigError, explain, raise_if_fatal
from pipeline.store.workspace import Workspace

HELD_OUT_KEY = "held_out_singers"
Keyed = list[tuple[str, Recording, vectors.Crops | None]]


@dataclass
class Planned:
    """A set to measure: its recordings with their keys, and its trials if they come from a file."""

    config: SetConfig
    conditions: tuple[str, ...]
    keyed: Keyed
    trials: Trials | None = None
    items: list[tuple[str, int]] = field(default_factory=list)  # recording_key and crop of each item of `trials`


@dataclass
class Plan:
    """All sets, the ids of the available encoders by name, and why the others are not available."""

    sets: list[Planned] = field(default_factory=list)
    encoder_ids: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)  # name -> what `adapters.load` takes
    unavailable: dict[str, str] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)


def failure(key: str, kind: str, message: str, uri: str | None = None) -> dict[str, Any]:
    """Return a row of `failures/`."""
    now = datetime.now(UTC)
    return {"stage": "evaluate", "key": key, "uri": uri, "error": kind, "message": message, "failed_at": now}


def make(config: Config, workspace: Workspace) -> Plan:
    """Read the sets, look for the encoders, and record what is missing.

    Raises:
        ConfigError: a set, reader, condition or trials file is wrong.
    """
    plan = Plan()
    ours = (config.embed.encoder, "mfcc")
    for name in dict.fromkeys(config.evaluate.encoders or (ALL_ENCODERS if config.evaluate.audio else ours)):
        try:
            source = find_encoder(workspace, name)
            plan.encoder_ids[name] = adapters.load(source).encoder_id
            plan.sources[name] = source
        except baselines.Unavailable as error:
            plan.unavailable[name] = str(error)
            plan.failures.append(failure(name, "unavailable", str(error)))
    for chosen in sets_of(config):
        plan.sets.append(_planned(chosen, config.evaluate, plan.failures))
    return plan


def sets_of(config: Config) -> tuple[SetConfig, ...]:
    """Return the sets to evaluate: those that the config lists, those under `audio`, or the workspace itself."""
    chosen = config.evaluate.sets
    if config.evaluate.audio:
        chosen += audio_sets(config.evaluate.audio)
    tasks = ("similarity", "identification", "retrieval", "clusters", "scores")
    return chosen or (SetConfig(name="workspace", path=config.workspace, reader=datasets.WORKSPACE, tasks=tasks),)


def audio_sets(folder: str) -> tuple[SetConfig, ...]:
    """Return the sets under a folder with `karaoke/` and `previews/`, as docs/results.md measures them."""
    karaoke = SetConfig(
        name="karaoke",
        path=f"{folder}/karaoke",
        reader="karaoke",
        singers="held_out",
        conditions=(*conditions.PLAIN, "robustness"),
        tasks=("similarity", "identification", "clusters", "scores"),
    )
    previews = SetConfig(
        name="previews",
        path=f"{folder}/previews",
        reader="previews",
        conditions=conditions.PLAIN,
        tasks=("similarity", "retrieval"),
    )
    return karaoke, previews


def held_out_singers() -> tuple[str, ...]:
    """Return the singers that the default encoder was not trained on, according to its `metrics.json`.

    Raises:
        ConfigError: the file does not say.
    """
    path = Path(encoder.__file__).parent / "default" / "metrics.json"
    try:
        return tuple(json.loads(path.read_text())[HELD_OUT_KEY])
    except (OSError, KeyError, json.JSONDecodeError) as error:
        raise ConfigError(
            f"singers: held_out needs {HELD_OUT_KEY} in encoder/default/metrics.json ({error!r}); "
            "say singers: all, or name them"
        ) from error


def _planned(chosen: SetConfig, config: EvaluateConfig, failures: list[dict[str, Any]]) -> Planned:
    recordings = datasets.read(chosen.reader, chosen.path)
    if chosen.singers != "all":
        named = held_out_singers() if chosen.singers == "held_out" else chosen.singers
        recordings = datasets.choose(recordings, (named,) if isinstance(named, str) else named)
    names = conditions.expand(chosen.conditions)
    if chosen.trials is None:
        whole: Iterable[tuple[Recording, vectors.Crops | None]] = ((recording, None) for recording in recordings)
        return Planned(chosen, names, _keyed(chosen.name, whole, config, failures)[0])
    given, items = trials.read(chosen.trials)
    crops = crops_of_items(items)
    known = {recording.name: recording for recording in recordings}
    wanted = ((known.get(path) or _by_folder(chosen.path, path), tuple(spans)) for path, spans in crops.items())
    keyed, keys = _keyed(chosen.name, wanted, config, failures)
    places = []
    for path, start_s, end_s in map(trials.parse_item, items):
        places.append((keys.get(path, ""), crops[path].index((start_s or 0.0, end_s))))
    return Planned(chosen, names, keyed, given, places)


def crops_of_items(items: Sequence[str]) -> dict[str, list[tuple[float, float | None]]]:
    """Return the crops of each file that the items name, in the order in which they first appear."""
    crops: dict[str, list[tuple[float, float | None]]] = {}
    for path, start_s, end_s in map(trials.parse_item, items):
        spans = crops.setdefault(path, [])
        if (start_s or 0.0, end_s) not in spans:
            spans.append((start_s or 0.0, end_s))
    return crops


def _by_folder(root: str, path: str) -> Recording:
    """Return the recording of a file that only a trials file names: its folder is the singer, as in published lists."""
    whole = Path(root) / path
    return Recording(str(whole), path, whole.parent.name, path, path)


def _keyed(
    set_name: str,
    wanted: Iterable[tuple[Recording, vectors.Crops | None]],
    config: EvaluateConfig,
    failures: list[dict[str, Any]],
) -> tuple[Keyed, dict[str, str]]:
    """Return the recordings that exist, each audio only once, and the key of each name."""
    found: Keyed = []
    keys: dict[str, str] = {}
    first: dict[str, str] = {}
    for recording, crops in wanted:
        name = f"{set_name}/{recording.name}"
        try:
            key = vectors.recording_key(recording, config, crops)
        except OSError as error:
            raise_if_fatal(error)
            failures.append(failure(name, *explain(error), uri=recording.uri))
            continue
        keys[recording.name] = key
        if key in first:
            failures.append(
                failure(name, "duplicate", f"the same audio as {first[key]}; it is left out", recording.uri)
            )
            continue
        first[key] = recording.name
        found.append((key, recording, crops))
    return found, keys
