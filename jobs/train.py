"""Train an encoder on the catalogue's own vocals: `encoders/<encoder_id>/`."""

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.fs as pafs
import ray.train

from encoder.config import preset
from encoder.model import Encoder
from encoder.training import card
from encoder.training.config import TrainConfig
from jobs import engine, frames, grouped, teaching
from jobs.connect import start_ray
from jobs.fitting import fit_on_ray, forget
from jobs.grouped import Round
from jobs.teaching import put_encoder
from pipeline.config import Config
from pipeline.scoring.backend import FILE
from pipeline.sections import fingerprint
from pipeline.stages.encoders import check_rate, known_as, load_encoder
from pipeline.store import tables
from pipeline.store.errors import ConfigError
from pipeline.store.workspace import Workspace


def check(config: Config) -> None:
    """Check that curves can be written, and that the clips' sample rate is high enough for an encoder from scratch.

    Raises:
        ConfigError: one of these is not the case.
    """
    if config.train.method == "network":
        engine.extra("tensorboard", "train")
    if config.train.init is None:
        hears_hz = preset(config.train.size).front_end.sample_rate_hz
        check_rate(f"train.init=null, train.size={config.train.size}", hears_hz, config.shard.sample_rate_hz)


def work(config: Config, run: engine.Run) -> None:
    """Train an encoder on the catalogue's own vocals, or adapt the back-end to the catalogue's vectors."""
    if config.train.method == "linear":
        teaching.work(config, run)
    else:
        train_network(config, run)


def train_network(config: Config, run: engine.Run) -> None:
    """Train an encoder on the catalogue's clips."""
    engine.need(run.workspace, "clips", "shard")
    train = config.train.model_copy(update={"seed": config.train.seed + config.seed})
    clips = tables.read(run.workspace, "clips", columns=["clip_id", "track_id"])
    name = fingerprint(train.content(), sorted(clips["clip_id"]))
    earlier = find(run.workspace, name)
    if earlier:
        run.skipped, run.note = 1, f"encoder {earlier} was trained before, with this config on these clips"
        return
    if train.init is not None:
        train = train.model_copy(update={"init": known_as(run.workspace, train.init)})
    run.say(f"{train.steps} steps of {train.batch * train.accumulate} of {len(clips)} clips on {train.workers} workers")
    start_ray()
    shards = tables.parts(run.workspace, "clips")
    if train.keeps_frames:
        shards = frames.keep(run.workspace, start_of(run.workspace, train))
    best, why = None, ""
    if train.views.same_singer == "group":
        best, why = grouped.learn(run, train, name, start_of(run.workspace, train), shards)
        checkpoint = best.checkpoint if best else None
    else:
        checkpoint = fit_on_ray(train, name, run, shards, known_singers(run.workspace, train))
    if checkpoint is None:
        run.note = f"{train.init} stays the encoder: {why}"
    else:
        encoder_id = publish(run.workspace, train, name, checkpoint, clips, best)
        run.done, run.note = 1, ": ".join(filter(None, [f"encoder {encoder_id}", why]))
    forget(run.workspace, name)


def start_of(workspace: Workspace, train: TrainConfig) -> Encoder:
    """Return the encoder that training starts from.

    Raises:
        ConfigError: it cannot be trained.
    """
    assert train.init is not None
    found = load_encoder(workspace, train.init)
    if not isinstance(found, Encoder):
        raise ConfigError(f"train.init={train.init} is a TorchScript file, which can embed but not be trained further")
    return found


def known_singers(workspace: Workspace, train: TrainConfig) -> dict[str, str]:
    """Return the artist or album in the files' own tags, by track_id, if the config asks for it."""
    column = train.views.same_singer
    if column == "track":
        return {}
    tracks = tables.read(workspace, "tracks", columns=["track_id", column]).dropna()
    return dict(zip(tracks["track_id"], tracks[column], strict=True))


def find(workspace: Workspace, name: str) -> str | None:
    """Return the id of the encoder that the training of this name has made, if it is finished."""
    selector = pafs.FileSelector(workspace.path("encoders"), allow_not_found=True)
    for info in workspace.fs.get_file_info(selector):
        metrics = f"encoders/{info.base_name}/metrics.json"
        if workspace.exists(metrics) and json.loads(workspace.read_bytes(metrics)).get("training_run") == name:
            return str(info.base_name)
    return None


def publish(
    workspace: Workspace,
    train: TrainConfig,
    name: str,
    checkpoint: ray.train.Checkpoint,
    clips: pd.DataFrame,
    best: Round | None,
) -> str:
    """Put a finished encoder with its log, its card and its calibration under `encoders/<encoder_id>/`.

    Returns:
        The `encoder_id`.
    """
    measured: dict[str, object] = {"training_run": name} | (best.measured if best else {})
    with tempfile.TemporaryDirectory() as temporary, checkpoint.as_directory() as folder:
        local = Path(temporary) / "encoder"
        n_clips, n_tracks = len(clips), clips["track_id"].nunique()
        encoder_id = card.publish(Path(folder), local, train, n_clips, n_tracks, **measured)
        if best:
            (local / FILE).write_bytes(replace(best.lesson.backend, encoder_id=encoder_id).to_bytes())
        put_encoder(workspace, local, encoder_id)
    return encoder_id


STAGE = engine.Stage(
    "train",
    "Train an encoder on the catalogue's own vocals.",
    work,
    check=check,
    unit="encoder",
)

if __name__ == "__main__":
    sys.exit(engine.main(STAGE))
