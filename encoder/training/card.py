"""The folder of a finished encoder: its weights, measurements, training log and model card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from encoder import checkpoint
from encoder.config import EncoderConfig
from encoder.training.config import TERMS, TrainConfig
from encoder.training.log import write_history
from encoder.training.state import finished

CARD = """# {encoder_id}

A singer-identity encoder for singing voice: a waveform in, a unit vector of {dim} dimensions out.

```python
import encoder
model = encoder.load("path/of/this/folder")
vectors = model(wave, sample_rate_hz)      # wave: (batch, samples) float32 -> (batch, {dim})
```

- **Model**: `{size}`, {parameters:.1f} M parameters; works at {rate} Hz ({low:g}–{high:g} Hz) whatever the input's
  rate.
- **Training data**: {n_clips} clips of {n_tracks} tracks, isolated vocals of the catalogue that it was trained on. The
  terms of those recordings apply, and those of the encoder it started from; no recording is in this folder.
- **Training**: {steps} steps of {batch} clips from `{init}`; terms {terms}; positives: {positives}; seed {seed}.
  `metrics.json` holds the whole configuration, `log.csv` the course of the training.
- **Supervision**: {supervision}
- {measure}
- **Limits**: it knows voices like those it was trained on. A similar vector suggests the same singer and proves
  nothing.
"""
GROUPS = (
    "no names. {groups} groups of several tracks of the catalogue's likeliest partition into vocalists, found in round "
    "{round}, stood for singers; pairs of crops that contradict their group were left out."
)
PARTITION = (
    "**Before and after**: equal-error rate between tracks {before:.2%} before, {after:.2%} now, in the clips that did "
    "not teach (every other one), by their own likeliest partition. No label says that the partition is right."
)
HELD_OUT = "**Held-out equal-error rate**: {eer} (crops of {crop_s:g} s, singers not trained on; see `log.csv`)."


def publish(training: Path, folder: Path, train: TrainConfig, n_clips: int, n_tracks: int, **measured: object) -> str:
    """Write the encoder of a finished training.

    Args:
        training: checkpoint folder of the training.
        folder: gets the encoder's four files, log.csv and TensorBoard events.
        train: settings of the training.
        n_clips: number of clips it was trained on.
        n_tracks: number of tracks of these clips.
        measured: further entries of metrics.json.

    Returns:
        The `encoder_id`.
    """
    model, history = finished(training)
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    counts = {"n_clips": n_clips, "n_tracks": n_tracks, "n_parameters": n_parameters}
    metrics = {**measured, "train": train.model_dump(mode="json"), **counts, **history[-1]}
    encoder_id = checkpoint.save(model, folder, metrics, card="")
    card = model_card(encoder_id, model.config, train, n_parameters, n_clips, n_tracks, {**measured, **history[-1]})
    (folder / "README.md").write_text(card)
    write_history(history, folder)
    return encoder_id


def model_card(
    encoder_id: str,
    model: EncoderConfig,
    train: TrainConfig,
    n_parameters: int,
    n_clips: int,
    n_tracks: int,
    measured: Mapping[str, Any],
) -> str:
    """Write the card.

    Args:
        encoder_id: of the encoder.
        model: its configuration.
        train: settings of the training.
        n_parameters: of the encoder.
        n_clips: number of clips it was trained on.
        n_tracks: number of tracks of these clips.
        measured: the last row of the log and, of a training on groups, `groups`, `round`, `before` and `after`.

    Returns:
        README.md, in Markdown.
    """
    weights = train.objectives.model_dump(include=set(TERMS))
    return CARD.format(
        encoder_id=encoder_id,
        dim=model.dim,
        size=model.size,
        parameters=n_parameters / 1e6,
        rate=model.front_end.sample_rate_hz,
        low=model.front_end.low_hz,
        high=model.front_end.high_hz,
        n_clips=n_clips,
        n_tracks=n_tracks,
        steps=train.steps,
        batch=train.batch * train.accumulate,
        init=train.init or "random weights",
        terms=", ".join(f"{name} {weight:g}" for name, weight in weights.items() if weight),
        positives=train.views.positives,
        seed=train.seed,
        supervision=supervision(train, measured),
        measure=measure(train, measured),
    )


def supervision(train: TrainConfig, measured: Mapping[str, Any]) -> str:
    """Return where the singers' labels came from; arguments as in `model_card`."""
    if train.views.same_singer == "track":
        return "none beyond what a track is."
    if train.views.same_singer != "group":
        return f"the files' own {train.views.same_singer} names."
    credited = " Artist tags that the voices confirm joined tracks too." if train.use_credits else ""
    return GROUPS.format(**measured) + credited


def measure(train: TrainConfig, measured: Mapping[str, Any]) -> str:
    """Return the measured error; arguments as in `model_card`."""
    if train.views.same_singer == "group":
        return PARTITION.format(**measured)
    eer = f"{measured['held_out_eer']:.1%}" if "held_out_eer" in measured else "not measured, too few tracks"
    return HELD_OUT.format(eer=eer, crop_s=train.views.crop_s)
