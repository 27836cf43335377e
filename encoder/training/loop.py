"""The training loop: plain torch, for one process or for each of several under torch.distributed.

    fit -> Trainer.batches: load, augment  (one step ahead)
        -> Trainer.step: forward, backward, update  (validation and checkpoint every so often)

A step depends on the configuration, the seed, its number and the weights, on nothing else: a run that is killed and
started again from its checkpoint gives the losses that it would have given.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from encoder.allocator import keep_freed_memory
from encoder.checkpoint import load
from encoder.config import EncoderConfig, TrainConfig, preset
from encoder.model import Encoder
from encoder.training.augment.chain import augment
from encoder.training.data import ClipShards
from encoder.training.learner import Learner, Memory, Outputs, loss_terms
from encoder.training.log import Clock, TrainLog
from encoder.training.optimise import learning_rate, make_optimiser, seeded, update_average, uses_bfloat16
from encoder.training.parallel import any_rank
from encoder.training.validation import held_out, validate
from encoder.training.views import ViewLoader

Report = Callable[[dict[str, float], Path | None], None]
STATE = "state.pt"


class TrainingStopped(RuntimeError):
    """The run cannot go on: the loss is not finite, or the embeddings have collapsed. Says at which step."""


def fit(
    config: TrainConfig,
    clips: str | Path | Sequence[str | Path],
    out_dir: str | Path,
    *,
    names: Mapping[str, str] | None = None,
    rank: int = 0,
    world_size: int = 1,
    device: str | torch.device = "cpu",
    report: Report | None = None,
    resume: str | Path | None = None,
) -> Encoder:
    """Train and give the encoder with its averaged (EMA) weights.

    clips: folder or list of shards; names: track_id -> singer, artist or album where known; out_dir: gets log.csv,
    TensorBoard events and `checkpoint/`; resume: a checkpoint folder to go on from; report: called on every rank
    with each row of the log and, on rank 0 where the row is of a checkpoint, its folder.

    Raises TrainingStopped, ValueError where the clips do not fit the configuration, FileNotFoundError without any.
    """
    trainer = Trainer(config, ClipShards.open(clips), names, rank, world_size, torch.device(device))
    log = TrainLog(Path(out_dir), config) if rank == 0 else None
    if resume is not None:
        history = trainer.restore(Path(resume))
        if log:
            log.rewind(history)
    for step, batch in trainer.batches():
        row = trainer.step(step, batch)
        due = Due(config, step)
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


@dataclass(frozen=True)
class Views:
    """A micro-batch as the encoder hears it, on its device (see `views.Batch`); the generator that augmented it goes
    on to mask it; data_s, augment_s: what loading and augmenting took, beside the step before."""

    waves: Tensor
    lengths: Tensor
    singers: Tensor
    generator: torch.Generator
    data_s: float
    augment_s: float


class Trainer:
    """Model, teacher, optimiser and data of one rank."""

    def __init__(
        self,
        config: TrainConfig,
        shards: ClipShards,
        names: Mapping[str, str] | None,
        rank: int,
        world_size: int,
        device: torch.device,
    ) -> None:
        keep_freed_memory()
        self.config, self.rank, self.world_size, self.device = config, rank, world_size, device
        torch.manual_seed(config.seed)
        encoder = start_encoder(config)
        self.learner = Learner(encoder, config.terms, config.augment).to(device)
        self.averaged = copy.deepcopy(self.learner).requires_grad_(False)
        self.memory = Memory(config.terms, config.terms.projection or encoder.dim).to(device)
        # Unlike this process's copy, the wrapped one averages gradients over ranks.
        self.wrapped: nn.Module = (
            nn.parallel.DistributedDataParallel(self.learner, broadcast_buffers=False)
            if world_size > 1
            else self.learner
        )
        self.optimiser = make_optimiser(self.learner, config)
        self.step_number = 0
        self._split(shards, names)
        self.clock = Clock(device)

    def _split(self, shards: ClipShards, names: Mapping[str, str] | None) -> None:
        """Hold some singers out, train on the others."""
        singers = [(names or {}).get(row.track_id, row.track_id) for row in shards.rows]
        out = held_out(singers, self.config.held_out)
        self.held_out = shards.subset(out)
        self.held_out_singers = [singer for singer, is_out in zip(singers, out, strict=True) if is_out]
        rate = self.learner.encoder.sample_rate_hz
        train = shards.subset(~out)
        views, seed = self.config.views, self.config.seed
        codec = self.config.augment.codec
        self.loader = ViewLoader(train, views, rate, seed, names, self.rank, self.world_size, codec)

    def batches(self) -> Iterator[tuple[int, list[Views]]]:
        """The micro-batches of each step that is left, the next step's made while one computes."""

        def make(step: int) -> list[Views]:
            return [self.views(step, part) for part in range(self.config.accumulate)]

        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(make, self.step_number + 1)
            for step in range(self.step_number + 1, self.config.steps + 1):
                self.clock.start("waiting")
                batches = ahead.result()
                if step < self.config.steps:
                    ahead = pool.submit(make, step + 1)
                yield step, batches

    def views(self, step: int, part: int) -> Views:
        """Load and augment one micro-batch."""
        size, config = self.config.batch, self.config
        began = time.perf_counter()
        batch = self.loader.batch(((step - 1) * config.accumulate + part) * size, size)
        loaded = time.perf_counter()
        generator = seeded(self.device, config.seed, step, part, self.rank)
        waves, lengths, singers = (tensor.to(self.device) for tensor in (batch.waves, batch.lengths, batch.singers))
        rate = self.learner.encoder.sample_rate_hz
        augmented = augment(waves, lengths, singers, rate, config.augment, generator)
        return Views(*augmented, generator, loaded - began, time.perf_counter() - loaded)

    def step(self, step: int, batches: list[Views]) -> dict[str, float]:
        """One update of the weights. -> the row of the log."""
        self.learner.train()
        rate = learning_rate(self.config, step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        totals: dict[str, float] = {}
        for part, batch in enumerate(batches):
            last = part == len(batches) - 1
            for name, value in self._accumulate(batch, sync=last).items():
                totals[name] = totals.get(name, 0.0) + value / len(batches)
        norm = nn.utils.clip_grad_norm_(self.learner.parameters(), self.config.clip_norm)
        check_finite(step, totals, float(norm))
        self.optimiser.step()
        update_average(self.averaged, self.learner, self.config.ema, step)
        self.step_number = step
        n_clips = self.config.batch * len(batches)
        epoch = step * n_clips / len(self.loader.shards)
        row = {"step": step, "epoch": epoch, **totals, "learning_rate": rate, "gradient_norm": float(norm)}
        made = {"data_s": sum(b.data_s for b in batches), "augment_s": sum(b.augment_s for b in batches)}
        return row | made | self.clock.finish(n_clips)

    def _accumulate(self, views: Views, sync: bool) -> dict[str, float]:
        """Forward and backward of one micro-batch. -> the loss and its terms."""
        self.clock.start("forward")
        with torch.autocast(self.device.type, torch.bfloat16, enabled=uses_bfloat16(self.config, self.device)):
            teacher = self._teach(views.waves, views.lengths)
            out: Outputs = self.wrapped(views.waves, views.lengths, views.generator)
        terms = self.config.terms
        values = loss_terms(out, teacher, views.singers, terms, self.memory)
        loss = sum(
            (getattr(terms, name) * value for name, value in values.items()), torch.zeros((), device=self.device)
        )
        self.clock.start("backward")
        scaled = loss / self.config.accumulate
        if isinstance(self.wrapped, nn.parallel.DistributedDataParallel) and not sync:
            with self.wrapped.no_sync():
                scaled.backward()
        else:
            scaled.backward()
        return {"loss": float(loss.detach())} | {name: float(value.detach()) for name, value in values.items()}

    @torch.no_grad()
    def _teach(self, waves: Tensor, lengths: Tensor) -> Outputs | None:
        """The EMA encoder's view, where an objective needs it."""
        if not self.config.terms.follows_average:
            return None
        teacher: Outputs = self.averaged(waves, lengths, None)
        return teacher

    def validate(self, step: int) -> dict[str, float]:
        """Measures on held-out singers, on rank 0. Raises TrainingStopped on every rank after a collapse."""
        measured: dict[str, float] = {}
        if self.rank == 0 and len(self.held_out) > 1:
            crop_s = self.config.views.crop_s
            measured = validate(self.averaged.encoder, self.held_out, self.held_out_singers, crop_s)
        collapsed = step > self.config.warmup and measured.get("spread", 1.0) < self.config.collapse_spread
        if any_rank(collapsed, self.device):
            raise TrainingStopped(
                f"step {step}: the embeddings have collapsed, every clip gets nearly the same vector: {measured}"
            )
        return measured

    def save(self, folder: Path, history: list[dict[str, float]]) -> Path:
        """Model, averaged model, optimiser, memory and position; the folder's state is replaced at once."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "learner": self.learner.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "memory": self.memory.state_dict(),
            "step": self.step_number,
            "config": self.config.content(),
            "encoder_config": self.learner.encoder.config.model_dump(mode="json"),
            "history": history,
        }
        torch.save(state, folder / f".{STATE}")
        (folder / f".{STATE}").replace(folder / STATE)
        return folder

    def restore(self, folder: Path) -> list[dict[str, float]]:
        """Go on from `save`'s folder. -> the log so far. Raises ValueError where the configuration differs."""
        state: dict[str, Any] = torch.load(folder / STATE, map_location=self.device, weights_only=True)
        if state["config"] != self.config.content():
            changed = [key for key, value in self.config.content().items() if state["config"].get(key) != value]
            raise ValueError(f"the checkpoint in {folder} is of another configuration ({', '.join(changed)} differ)")
        self.learner.load_state_dict(state["learner"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.memory.load_state_dict(state["memory"])
        self.step_number = int(state["step"])
        history: list[dict[str, float]] = state["history"]
        return history


class Due:
    """What a step ends with; the last one with everything."""

    def __init__(self, config: TrainConfig, step: int) -> None:
        last = step == config.steps
        self.validate = last or step % config.validate_every == 0
        self.checkpoint = last or step % config.checkpoint_every == 0
        self.log = self.validate or self.checkpoint or step % config.log_every == 0


def finished(folder: str | Path) -> tuple[Encoder, list[dict[str, float]]]:
    """The averaged encoder in a checkpoint, and the log that led to it."""
    state: dict[str, Any] = torch.load(Path(folder) / STATE, map_location="cpu", weights_only=True)
    encoder = Encoder(EncoderConfig.model_validate(state["encoder_config"]))
    prefix = "encoder."
    weights = {k.removeprefix(prefix): v for k, v in state["averaged"].items() if k.startswith(prefix)}
    encoder.load_state_dict(weights)
    return encoder.eval(), state["history"]


def start_encoder(config: TrainConfig) -> Encoder:
    """The encoder that training sets out from: fresh, or a checkpoint named by `init`."""
    if config.init is None:
        return Encoder(preset(config.size))
    encoder = load(config.init)
    if not isinstance(encoder, Encoder):
        raise ValueError(f"{config.init} is a TorchScript file: it can embed, but training cannot go on from it")
    return encoder


def check_finite(step: int, values: Mapping[str, float], norm: float) -> None:
    """Stop before a broken update reaches the weights."""
    broken = [name for name, value in {**values, "gradient norm": norm}.items() if not math.isfinite(value)]
    if broken:
        raise TrainingStopped(f"step {step}: {', '.join(broken)} not finite; the weights are as of step {step - 1}")
