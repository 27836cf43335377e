"""The training loop: plain torch, for one process or for each of several under torch.distributed.

fit -> Trainer.batches (load) -> Trainer.step (augment, forward, backward, update); validation and checkpoint
    -> Trainer.finish (blend with the initial weights, whiten)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow.fs as pafs
import torch

from encoder.model import Encoder
from encoder.training.config import TrainConfig
from encoder.training.data import ClipShards
from encoder.training.log import TrainLog
from encoder.training.trainer import Trainer

Report = Callable[[dict[str, float], Path | None], None]


def fit(
    config: TrainConfig,
    clips: str | Path | Sequence[str | Path],
    out_dir: str | Path,
    *,
    filesystem: pafs.FileSystem | None = None,
    names: Mapping[str, str] | None = None,
    rank: int = 0,
    world_size: int = 1,
    device: str | torch.device = "cpu",
    report: Report | None = None,
    resume: str | Path | None = None,
) -> Encoder:
    """Train an encoder.

    Args:
        config: settings.
        clips: a folder of shards, or the shards.
        out_dir: gets log.csv, TensorBoard events and `checkpoint/`.
        filesystem: that `clips` are paths on; None: the local one.
        names: the singer (or artist, album, group) of each track for which it is known, by track_id.
        rank: of this process.
        world_size: number of processes.
        device: that this process computes on.
        report: called on every rank with each row of the log and, on rank 0 with that of a checkpoint, its folder.
        resume: a checkpoint folder to continue from.

    Returns:
        The encoder with its averaged weights, in evaluation mode.

    Raises:
        TrainingStopped: the loss is not finite, or the embeddings have collapsed.
        ValueError: the clips do not fit the configuration.
        FileNotFoundError: there are no clips.
    """
    trainer = Trainer(config, ClipShards.open(clips, filesystem), names, rank, world_size, torch.device(device))
    log = TrainLog(Path(out_dir), config) if rank == 0 else None
    if resume is not None:
        history = trainer.restore(Path(resume))
        if log:
            log.rewind(history)
    for step, batches in trainer.batches():
        row = trainer.step(step, batches)
        due = Due(config, step)
        if due.finish:
            trainer.finish()
        if due.validate:
            row |= trainer.validate(step)
        if log and due.log:
            log.write(row)
        folder = trainer.save(Path(out_dir) / "checkpoint", log.history) if log and due.checkpoint else None
        if report and due.log:
            report(row, folder)
    if log:
        log.close()
    return trainer.averaged.encoder.eval()


class Due:
    """What to do after a step; after the last one, everything."""

    def __init__(self, config: TrainConfig, step: int) -> None:
        self.finish = step == config.steps
        self.validate = self.finish or step % config.validate_every == 0
        self.checkpoint = self.finish or step % config.checkpoint_every == 0
        self.log = self.validate or self.checkpoint or step % config.log_every == 0
