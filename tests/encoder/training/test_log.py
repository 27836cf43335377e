"""The log of a training and the clock of its steps."""

import csv
import time
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from encoder.training.config import TrainConfig
from encoder.training.log import PHASES, Clock, TrainLog, write_history


def read(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_rows_are_on_disk_at_once_and_can_be_taken_back(tmp_path: Path) -> None:
    log = TrainLog(tmp_path, TrainConfig(recipe="contrastive"))
    log.write({"step": 1, "loss": 2.5})
    log.write({"step": 2, "loss": 2.0, "held_out_eer": 0.25})
    found = read(tmp_path / "log.csv")
    assert [row["loss"] for row in found] == ["2.5", "2.0"]
    assert found[0]["held_out_eer"] == ""
    log.rewind(log.history[:1])
    log.write({"step": 2, "loss": 1.5})
    log.close()
    assert [row["loss"] for row in read(tmp_path / "log.csv")] == ["2.5", "1.5"]


def test_an_unknown_column_is_an_error(tmp_path: Path) -> None:
    log = TrainLog(tmp_path, TrainConfig(recipe="contrastive"))
    with pytest.raises(ValueError, match="byol"):
        log.write({"step": 1, "byol": 1.0})


def test_a_history_becomes_a_table_and_tensorboard_curves(tmp_path: Path) -> None:
    write_history([{"step": 10, "loss": 3.0}, {"step": 20, "loss": 1.0, "held_out_eer": 0.5}], tmp_path)
    assert [row["held_out_eer"] for row in read(tmp_path / "log.csv")] == ["", "0.5"]
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(10, 3.0), (20, 1.0)]


def test_the_clock_splits_a_step_into_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([1.0, 3.0, 6.0, 7.0, 10.0, 99.0, 100.0, 101.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    clock = Clock(torch.device("cpu"))
    for phase in ("loading", "augment", "forward", "backward"):
        clock.start(phase)
    row = clock.finish(18)
    assert [row[f"{phase}_s"] for phase in PHASES] == [2, 3, 1, 3]
    assert row["clips_per_s"] == 2
    # What happens between two steps, such as validation, belongs to neither.
    clock.start("loading")
    clock.start("forward")
    assert clock.finish(1)["loading_s"] == 1
