"""A training under Ray Train with any number of workers, its progress, and its errors.

Its checkpoints are in `encoders/_training/<name>`; the same call continues from the last one.
"""

import contextlib
import functools
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import ray.exceptions
import ray.train
import torch
from ray.train.torch import TorchTrainer
from ray.train.v2.api.callback import UserCallback
from ray.util.queue import Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from encoder.training.config import TrainConfig
from encoder.training.loop import fit
from encoder.training.trainer import TrainingStopped
from jobs import engine
from jobs.connect import first_line
from jobs.running import counted
from pipeline.stages.encoders import find_encoder
from pipeline.store.errors import ConfigError, RunError
from pipeline.store.workspace import Workspace

RUNS = "encoders/_training"  # Ray Train's checkpoints, until the encoder is finished


def fit_on_ray(
    train: TrainConfig, name: str, run: engine.Run, shards: Sequence[str], names: dict[str, str]
) -> ray.train.Checkpoint:
    """Train under Ray Train, continuing from the checkpoint of an earlier run of that name if there is one.

    Args:
        train: settings, with the number of workers.
        name: of the training, within `RUNS`.
        run: for progress lines.
        shards: names of the workspace's files of clips, or of frames.
        names: the singers of the tracks for which they are known, by track_id.

    Raises:
        ConfigError: the training stopped itself, or the clips do not fit the config; the message says why.
    """
    told = Told(train.workers)
    settings = {
        "train": train.model_dump(),
        "shards": list(shards),
        "names": names,
        "workspace": run.workspace.location,
    }
    try:
        with printed(run, told) as lines, interruptible():
            result = trainer_of(train, name, run.workspace, settings, lines).fit()
    except ray.train.TrainingFailedError as error:
        raise ConfigError(
            f"training failed: {_reason(error)}. It survives train.max_failures={train.max_failures} "
            f"losses of a worker; there were {max(told.losses, 1)}. The same command continues from its "
            "last checkpoint."
        ) from error
    if told.stopped or result.checkpoint is None:
        # The reason will not go away: without this, the same command would continue from the same checkpoint.
        run.workspace.delete(f"{RUNS}/{name}")
        raise ConfigError(f"training stopped: {told.stopped or 'no checkpoint was written'}")
    return result.checkpoint


def trainer_of(
    train: TrainConfig, name: str, workspace: Workspace, settings: dict[str, Any], lines: Queue
) -> TorchTrainer:
    """Return Ray Train's trainer, with `train.workers` workers that run `train_loop` with `settings`.

    Args:
        train: settings, with the number of workers.
        name: of the training, within `RUNS`.
        workspace: for its checkpoints.
        settings: what `train_loop` takes.
        lines: for the rows of the log.
    """
    elastic = train.workers_min is not None and train.workers_min < train.workers
    return TorchTrainer(
        train_loop,
        train_loop_config=settings,
        scaling_config=ray.train.ScalingConfig(
            num_workers=(train.workers_min, train.workers) if elastic else train.workers,  # type: ignore[arg-type]
            use_gpu=train.gpus > 0,
            resources_per_worker={"CPU": train.cpus} | ({"GPU": train.gpus} if train.gpus else {}),
        ),
        run_config=ray.train.RunConfig(
            name=name,
            storage_path=workspace.path(RUNS),
            storage_filesystem=workspace.fs,
            failure_config=ray.train.FailureConfig(max_failures=train.max_failures),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=1),
            callbacks=[Progress(lines)],  # type: ignore[list-item]
        ),
    )


def forget(workspace: Workspace, name: str) -> None:
    """Remove the checkpoints of the trainings whose names begin with `name`."""
    selector = pafs.FileSelector(workspace.path(RUNS), allow_not_found=True)
    for info in workspace.fs.get_file_info(selector):
        if info.base_name.startswith(name):
            workspace.delete(f"{RUNS}/{info.base_name}")


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Make Ctrl-C raise KeyboardInterrupt during a training, which Ray Train would end with status 0, and after it."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        raise KeyboardInterrupt from error
    finally:
        signal.signal(signal.SIGINT, before)


def train_loop(settings: dict[str, Any]) -> None:
    """Run `encoder.training.loop.fit` for the rank of this Ray Train worker."""
    context, resume, workspace = ray.train.get_context(), ray.train.get_checkpoint(), Workspace(settings["workspace"])
    train = TrainConfig.model_validate(settings["train"])
    torch.set_num_threads(train.cpus)
    with tempfile.TemporaryDirectory() as folder:
        try:
            if train.init is not None:
                train = train.model_copy(update={"init": find_encoder(workspace, train.init)})
            start = functools.partial(
                fit,
                train,
                [workspace.path(shard) for shard in settings["shards"]],
                filesystem=workspace.fs,
                names=settings["names"],
                rank=context.get_world_rank(),
                world_size=context.get_world_size(),
                device=ray.train.torch.get_device(),
                report=report,
            )
            if resume is None:
                start(folder)
            else:
                with resume.as_directory() as earlier:
                    start(folder, resume=earlier)
        except (TrainingStopped, ValueError, FileNotFoundError, RunError) as error:
            # This is not this worker's fault: a restart would end here again.
            ray.train.report({"stopped": str(error)})


def report(row: dict[str, float], folder: Path | None) -> None:
    """Pass a row of the log, and its checkpoint if there is one, to Ray Train."""
    ray.train.report(row, checkpoint=ray.train.Checkpoint.from_directory(folder) if folder else None)


class Progress(UserCallback):
    """Sends rank 0's rows from Ray Train's controller to the command that waits for it; lost lines do not matter."""

    def __init__(self, lines: Queue):
        self.lines = lines

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
        """Ray's hook: all workers have reported."""
        self._put(metrics[0] | {"workers": len(metrics)})

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Ray's hook: workers have failed, or were lost."""
        self._put({"lost": first_line(next(iter(worker_exceptions.values()), RuntimeError("unknown")))})

    def _put(self, row: dict[str, Any]) -> None:
        with contextlib.suppress(ray.exceptions.RayError):
            self.lines.put(row)


@dataclass
class Told:
    """What was learned from a training's rows: number of workers, number of losses, and why it stopped itself."""

    workers: int
    losses: int = 0
    stopped: str = ""


@contextlib.contextmanager
def printed(run: engine.Run, told: Told) -> Iterator[Queue]:
    """Yield a queue whose rows are printed as they arrive; at the end, all have been printed and `told` is complete."""
    # On this node, on which the run depends anyway; a worker's node may disappear at any time.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    lines = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
    printer = threading.Thread(target=print_lines, args=(lines, run, told), daemon=True)
    printer.start()
    try:
        yield lines
    finally:
        with contextlib.suppress(ray.exceptions.RayError):
            lines.put(None)
            printer.join()
            lines.shutdown()


def print_lines(lines: Queue, run: engine.Run, told: Told) -> None:
    """Print each row that arrives, until None arrives or the queue is lost."""
    with contextlib.suppress(ray.exceptions.RayError):
        while (row := lines.get()) is not None:
            if "stopped" in row:
                told.stopped = row["stopped"]
            elif "lost" in row:
                told.losses += 1
                run.say(f"a worker was lost ({row['lost']}); training continues from the last checkpoint if it may")
            else:
                if row["workers"] != told.workers:
                    told.workers = row["workers"]
                    run.say(f"now on {counted(told.workers, 'worker')}")
                eer = f"  held-out EER {row['held_out_eer']:.1%}" if "held_out_eer" in row else ""
                run.say(f"step {row['step']}  loss {row['loss']:.3f}  {row['clips_per_s']:.1f} clips/s{eer}")


def _reason(error: ray.train.TrainingFailedError) -> str:
    """Return the reason for which a training failed, in one line."""
    failures = list(getattr(error, "worker_failures", {}).values())
    return first_line(failures[0]) if failures else str(error).strip().splitlines()[-1]
