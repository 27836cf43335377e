"""Compare training recipes: the same encoder is trained by each and measured on singers that none was trained on.

    python -m jobs.bench.recipes configs/local.yaml workspace=WS known=known.csv [train.size=tiny train.steps=400 ...]

The clips are those that `shard` made. Known tracks are left out of training and measured: equal-error rate of crops,
with target trials across tracks of a singer. All recipes share the other settings of `train`. Prints Markdown.
"""

import sys
from collections.abc import Sequence

import numpy as np
import torch

from encoder.training.config import TrainConfig
from encoder.training.data import ClipShards
from encoder.training.presets import RECIPES
from encoder.training.trainer import Trainer, TrainingStopped
from encoder.training.validation import validate
from jobs import engine
from jobs.bench.table import clock
from jobs.tag import known_names
from pipeline.config import Config
from pipeline.store import tables
from pipeline.store.errors import ConfigError
from pipeline.store.workspace import Workspace


def split(config: Config, workspace: Workspace) -> tuple[ClipShards, ClipShards, list[str]]:
    """Return the clips to train on, the clips to measure on, and the singer of each of the latter.

    Raises:
        ConfigError: fewer than two known singers have clips.
    """
    if config.known is None:
        raise ConfigError("known: name a CSV of the tracks to measure on, known=known.csv")
    singers = known_names(config.known, workspace, print)
    shards = ClipShards.open([workspace.path(part) for part in tables.parts(workspace, "clips")], workspace.fs)
    known = np.array([row.track_id in singers for row in shards.rows])
    measured = shards.subset(known)
    whose = [singers[row.track_id] for row in measured.rows]
    if len(set(whose)) < 2:
        raise ConfigError(f"{config.known}: names {len(set(whose))} singers with clips; it takes two or more")
    return shards.subset(~known), measured, whose


def trained(train: TrainConfig, clips: ClipShards) -> tuple[Trainer, float]:
    """Return the trainer after its last step, and how many clips per second it processed."""
    trainer = Trainer(train, clips, None, 0, 1, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    started = clock()
    for step, batches in trainer.batches():
        trainer.step(step, batches)
    trainer.finish()
    seconds, _ = clock() - started
    return trainer, train.steps * train.batch * train.accumulate / seconds


def work(config: Config) -> int:
    """Train by every recipe and print a table; the row of a recipe that fails says why."""
    workspace = Workspace(config.workspace)
    engine.need(workspace, "clips", "shard")
    clips, measured, whose = split(config, workspace)
    torch.set_num_threads(config.train.cpus)
    print(
        f"{len(clips)} clips to learn from, {len(measured)} of {len(set(whose))} other singers to measure\n\n"
        "| recipe | EER | std of the embeddings | effective rank | clips/s |\n|---|---|---|---|---|",
        flush=True,
    )
    for recipe in RECIPES:
        try:
            train = config.train.with_recipe(recipe).model_copy(update={"held_out": 0.0})
            trainer, rate = trained(train, clips)
        except (TrainingStopped, ValueError) as stopped:
            print(f"| {recipe} | {' '.join(str(stopped).split())} | | | |", flush=True)
            continue
        found = validate(trainer.averaged.encoder, measured, whose, train.views.crop_s)
        print(
            f"| {recipe} | {found['held_out_eer']:.1%} | {found['embedding_std']:.2f} "
            f"| {found['effective_rank']:.1f} | {rate:.1f} |",
            flush=True,
        )
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Read the config and compare."""
    return engine.command("bench.recipes", __doc__, work, argv)


if __name__ == "__main__":
    sys.exit(main())
