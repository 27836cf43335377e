"""Measure every task on every set, for every encoder and condition, from the vectors in the workspace.

What cannot be measured becomes a row of `failures/` with the reason, and the rest goes on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config import Config
from pipeline.evaluate import trials, vectors
from pipeline.evaluate.conditions import PLAIN
from pipeline.evaluate.datasets import Recording
from pipeline.evaluate.identification import closed_set, open_set
from pipeline.evaluate.plan import Plan, Planned, failure
from pipeline.evaluate.tasks import Labelled, Measure, Scored, clusters, normalisations, retrieval, similarity
from pipeline.evaluate.trials import Trials
from pipeline.scoring import voices
from pipeline.scoring.backend import Backend
from pipeline.scoring.metrics import NotMeasurable
from pipeline.scoring.scores import Reliability
from pipeline.sections import SetConfig
from pipeline.store.workspace import Workspace

TRIALS_FOLDER = "evaluation_trials"
Where = tuple[str, str, str]  # set, encoder, condition


@dataclass
class Results:
    """Rows of `evaluation/` and of `failures/`, and what the figures show."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    curves: dict[tuple[str, str, str, str], Scored] = field(default_factory=dict)  # Where and the task
    confusion: dict[Where, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    reliability: dict[Where, Reliability] = field(default_factory=dict)


def measure(config: Config, workspace: Workspace, plan: Plan, say: Callable[[str], None] = print) -> Results:
    """Measure all sets, and write the trials that were drawn to `evaluation_trials/`."""
    results = Results(failures=list(plan.failures))
    for planned in plan.sets:
        crops, whose = _crops(workspace, planned)
        singers = {recording.singer for recording in whose}
        say(f"{planned.config.name}: {len(crops)} crops by {len(singers)} singers")
        try:
            pairs: Trials | None = _trials(planned, crops, whose, config, results)
        except NotMeasurable as error:
            results.failures.append(failure(planned.config.name, "not_measurable", str(error)))
            pairs = None
        _write_trials(workspace, planned, pairs, crops, whose)
        labels = [np.array([getattr(r, part) for r in whose], np.str_) for part in ("singer", "song", "recording")]
        for name in planned.conditions:
            condition = vectors.condition_key(name, config.evaluate)
            for encoder_name, encoder_id in plan.encoder_ids.items():
                data = Labelled(vectors.vectors_of(workspace, crops, condition, encoder_id), *labels)
                _count_missing((planned.config.name, encoder_name, name), data, results)
                backend = voices.backend(workspace, encoder_id, data.vectors.shape[1])
                _measure_one(planned.config, encoder_name, name, data, pairs, backend, config, results)
    return results


def _crops(workspace: Workspace, planned: Planned) -> tuple[pd.DataFrame, list[Recording]]:
    """Return a set's embedded crops, in the order of its recordings, and the recording of each."""
    by_key = {key: recording for key, recording, _ in planned.keyed}
    order = {key: i for i, key in enumerate(by_key)}
    crops = vectors.crops_of(workspace, by_key)
    crops = crops.iloc[np.lexsort((crops["crop"], crops["recording_key"].map(order)))].reset_index(drop=True)
    return crops, [by_key[key] for key in crops["recording_key"]]


def _trials(planned: Planned, crops: pd.DataFrame, whose: list[Recording], config: Config, results: Results) -> Trials:
    """Return the set's trials over the rows of `crops`: drawn, or those of its trials file whose crops are there."""
    if planned.trials is None:
        singers, recordings = [r.singer for r in whose], [r.recording for r in whose]
        evaluate = config.evaluate
        return trials.make(singers, recordings, evaluate.max_trials, config.seed, evaluate.same_recording)
    place = {pair: i for i, pair in enumerate(zip(crops["recording_key"], crops["crop"], strict=True))}
    rows = np.array([place.get(item, -1) for item in planned.items])
    left, right = rows[planned.trials.left], rows[planned.trials.right]
    there = (left >= 0) & (right >= 0)
    if not there.all():
        n = np.count_nonzero(~there)
        message = f"{n} of {len(there)} trials name a file that is missing or cannot be used; they are left out"
        results.failures.append(failure(f"{planned.config.name}/trials", "missing", message))
    given = Trials(left, right, planned.trials.label, planned.trials.same_recording).where(there)
    if not len(given):
        raise NotMeasurable("no trial is left")
    return given


def _write_trials(
    workspace: Workspace, planned: Planned, pairs: Trials | None, crops: pd.DataFrame, whose: list[Recording]
) -> None:
    if pairs is None or planned.trials is not None or "similarity" not in planned.config.tasks:
        return
    spans = zip(whose, crops["start_s"], crops["end_s"], strict=True)
    names = [trials.item_name(recording.name, start_s, end_s) for recording, start_s, end_s in spans]
    workspace.write_bytes(f"{TRIALS_FOLDER}/{planned.config.name}.csv", trials.to_csv(pairs, names).encode())


def _count_missing(where: Where, data: Labelled, results: Results) -> None:
    missing = int(np.count_nonzero(~data.usable))
    if missing:
        message = f"{missing} of {len(data.singer)} crops are silent or could not be embedded; they are left out"
        results.failures.append(failure("/".join(where), "no_vector", message))


def _measure_one(
    chosen: SetConfig,
    encoder_name: str,
    condition: str,
    data: Labelled,
    pairs: Trials | None,
    backend: Backend,
    config: Config,
    results: Results,
) -> None:
    """Measure all tasks of one set for one encoder under one condition; if that degrades, only the similarity task."""
    where, seed = (chosen.name, encoder_name, condition), config.seed

    def similar() -> list[Measure]:
        if pairs is None:
            return []
        found, curves = similarity(data, pairs, config.evaluate, seed)
        results.curves.update({(*where, task): scored for task, scored in curves.items()})
        return found

    def identify() -> list[Measure]:
        found, singers, named = closed_set(data, config.evaluate, seed)
        results.confusion[where] = singers, named
        return found

    def normalise() -> list[Measure]:
        found, results.reliability[where] = normalisations(data, config.evaluate, seed)
        return found

    work: dict[str, Sequence[Callable[[], list[Measure]]]] = {
        "similarity": (similar,),
        "identification": (identify, lambda: open_set(data, backend, config, seed)),
        "retrieval": (lambda: retrieval(data, config.evaluate, seed),),
        "clusters": (lambda: clusters(data, backend, config.cluster, config.evaluate.crop_s, seed),),
        "scores": (normalise,),
    }
    for task in chosen.tasks if condition in PLAIN else {"similarity"} & set(chosen.tasks):
        for one in work[task]:
            try:
                found = one()
            except NotMeasurable as error:
                results.failures.append(failure("/".join((*where, task)), "not_measurable", str(error)))
                continue
            common = {"encoder": encoder_name, "set": chosen.name, "condition": condition}
            results.rows += [common | vars(measured) for measured in found]
