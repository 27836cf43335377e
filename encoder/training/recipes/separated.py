"""How the shipped weights were made: CAM++ learns that a separated voice is still the same voice.

    python -m encoder.training.recipes.separated RECORDINGS OUT [key=value ...]

RECORDINGS are clean voices beside separated ones (`encoder.training.recipes.clips`); further arguments are settings of
the training, such as `steps=290` or `views.crop_s=2`. It is a training like any other, by the recipe `separated`, with
three things of its own: the clips; the start, CAM++ under two transformer layers that add nothing yet, its head centred
on the clips; and the names of the singers, taken from the folders.

Two crops of a singer, from two songs where there are two, are one separated and the other separated or clean. NT-Xent
brings them together; a cross-entropy tells each apart from all other singers by its cosine to what CAM++ made of their
clean voices, and draws it to its own (`encoder.training.objectives.prototypical`). A recording played faster or slower
counts as another singer. At the end the weights go half way back to the start, and the head is whitened in part.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from encoder import checkpoint
from encoder.model import Encoder
from encoder.training import finish
from encoder.training.card import publish
from encoder.training.config import TrainConfig
from encoder.training.data import ClipShards
from encoder.training.loop import fit
from encoder.training.recipes.clips import write_clips
from encoder.training.views import ViewDataset

CENTRING_BATCHES = 6


def start(clips: Path, names: Mapping[str, str], config: TrainConfig) -> Encoder:
    """Return the encoder that the recipe starts from."""
    encoder = checkpoint.load_campplus(layers=2, mlp_ratio=1.0, loudness=0.2)
    shards = ClipShards.open(clips)
    views = ViewDataset(shards, config.views, encoder.sample_rate_hz, config.batch, config.seed, names)
    finish.whiten(encoder, finish.head_outputs(encoder, views.loader(0, CENTRING_BATCHES, 0)), power=0.0)
    return encoder


def train(recordings: Path, out: Path, settings: Mapping[str, Any]) -> str:
    """Run the recipe, continuing from its checkpoint if there is one.

    Args:
        recordings: clean voices beside separated ones.
        out: gets `clips/`, `start/`, the log and checkpoint of the training, and `encoder/`.
        settings: of the training, which override the recipe's.

    Returns:
        The `encoder_id` of what is in `encoder/`.
    """
    names = write_clips(recordings, out / "clips")
    config = TrainConfig.model_validate({"init": str(out / "start"), **settings, "recipe": "separated"})
    if not (out / "start").exists():
        checkpoint.save(start(out / "clips", names, config), out / "start", {}, "Where training starts.\n", half=False)
    resume = out / "checkpoint"
    device = "cuda" if torch.cuda.is_available() else "cpu"
    fit(config, out / "clips", out, names=names, device=device, resume=resume if resume.exists() else None)
    rows = ClipShards.open(out / "clips").rows
    return publish(resume, out / "encoder", config, len(rows), len({row.track_id for row in rows}))


def nested(changes: Sequence[str]) -> dict[str, Any]:
    """Return settings from `key=value` and `section.key=value`, their values as in YAML."""
    settings: dict[str, Any] = {}
    for change in changes:
        path, _, value = change.partition("=")
        *sections, key = path.split(".")
        functools.reduce(lambda at, name: at.setdefault(name, {}), sections, settings)[key] = yaml.safe_load(value)
    return settings


def main(arguments: Sequence[str]) -> int:
    """Run the recipe from the command line and return the exit status."""
    if len(arguments) < 2:
        print((__doc__ or "").split("\n\n")[1].strip(), file=sys.stderr)
        return 2
    recordings, out, *changes = arguments
    print(train(Path(recordings), Path(out), nested(changes)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
