"""The log of a training: `log.csv`, TensorBoard events, and where the time of a step went."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import yaml

from encoder.training.config import TERMS, TrainConfig

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

PHASES = ("loading", "augment", "forward", "backward")
MEASURED = ("held_out_eer", "embedding_std", "effective_rank")


class Clock:
    """Seconds of a step by phase: the time from one `start` to the next; time between steps is not counted."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.phase: str | None = None
        self.since = 0.0

    def start(self, phase: str | None) -> None:
        """End the current phase and begin another one, or none."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        if self.phase is not None:
            self.seconds[self.phase] += now - self.since
        self.phase, self.since = phase, now

    def finish(self, n_clips: int) -> dict[str, float]:
        """End a step of so many clips and return `<phase>_s` and `clips_per_s`."""
        self.start(None)
        seconds = {f"{phase}_s": self.seconds[phase] for phase in PHASES}
        self.seconds = dict.fromkeys(PHASES, 0.0)
        return seconds | {"clips_per_s": n_clips / sum(seconds.values())}


class TrainLog:
    """Rows of metrics, written as they come; `history` holds them for the checkpoint."""

    def __init__(self, folder: Path, config: TrainConfig) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        terms = [term for term in TERMS if getattr(config.objectives, term)]
        timing = [*(f"{phase}_s" for phase in PHASES), "clips_per_s"]
        self.columns = ["step", "epoch", "loss", *terms, "learning_rate", "gradient_norm", *timing, *MEASURED]
        self.path = folder / "log.csv"
        self.history: list[dict[str, float]] = []
        self.board = board_in(folder)
        self.board.add_text("config", f"```\n{yaml.safe_dump(config.model_dump(mode='json'))}```")
        self.rewind([])

    def rewind(self, history: list[dict[str, float]]) -> None:
        """Rewrite the file with the rows up to a checkpoint."""
        self.history = list(history)
        write_rows(self.path, self.columns, self.history)

    def write(self, row: dict[str, float]) -> None:
        """Append a row; a column without a value stays empty.

        Raises:
            ValueError: the row has a column that the log does not have.
        """
        self.history.append(row)
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns).writerow(row)
        add_scalars(self.board, row)

    def close(self) -> None:
        """Flush and close TensorBoard's writer."""
        self.board.close()


def board_in(folder: Path) -> SummaryWriter:
    """Return a writer of TensorBoard's events under a folder; TensorBoard comes with an extra."""
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"))


def write_history(history: list[dict[str, float]], folder: Path) -> None:
    """Write the log of a finished training to a folder: `log.csv` and TensorBoard events."""
    columns = dict.fromkeys(name for row in history for name in row)
    write_rows(folder / "log.csv", list(columns), history)
    with board_in(folder) as board:
        for row in history:
            add_scalars(board, row)


def write_rows(path: Path, columns: list[str], rows: list[dict[str, float]]) -> None:
    """Write a CSV file anew."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def add_scalars(board: SummaryWriter, row: dict[str, float]) -> None:
    """Add a row to TensorBoard's curves."""
    for name, value in row.items():
        if name != "step":
            board.add_scalar(name, value, int(row["step"]))
