"""One rank of a training: its model, averaged model, optimiser and data, and the training step.

A step depends only on the configuration, the seed, its number and the weights. So a training that is killed and
resumed from a checkpoint has the same losses as one that ran through.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from encoder.allocator import keep_freed_memory
from encoder.checkpoint import load
from encoder.config import preset
from encoder.model import Encoder
from encoder.training import finish, state
from encoder.training.augment.chain import augment
from encoder.training.config import TrainConfig
from encoder.training.data import ClipShards, every_other
from encoder.training.learner import Learner, Outputs
from encoder.training.log import Clock
from encoder.training.loss import Memory, loss_terms
from encoder.training.optimise import freeze, learning_rate, make_optimiser, seeded, update_average, uses_bfloat16
from encoder.training.parallel import any_rank
from encoder.training.prototypes import make_prototypes
from encoder.training.validation import held_out, validate
from encoder.training.views import Batch, ViewDataset

STATEFUL = ("learner", "averaged", "optimiser", "memory")  # the parts of a trainer that a checkpoint contains


class TrainingStopped(RuntimeError):
    """Training cannot continue: the loss is not finite, or the embeddings have collapsed. Says at which step."""


@dataclass(frozen=True)
class MicroBatch:
    """A batch on the encoder's device, ready for it.

    Attributes:
        waves: (2n, samples) float32, augmented; or (2n, frames, width + 1).
        lengths: (2n,) samples or frames.
        identities: (n,) int64, see `encoder.training.views.Batch`.
        generator: of the augmentation's random numbers; masking continues with it.
    """

    waves: Tensor
    lengths: Tensor
    identities: Tensor
    generator: torch.Generator


class Trainer:
    """Model, averaged model, optimiser and data of one rank."""

    def __init__(
        self,
        config: TrainConfig,
        shards: ClipShards,
        names: Mapping[str, str] | None,
        rank: int,
        world_size: int,
        device: torch.device,
    ) -> None:
        """Prepare a training; see `encoder.training.loop.fit` for the arguments.

        Raises:
            ValueError: the clips do not fit the configuration.
        """
        keep_freed_memory()
        self.config, self.rank, self.world_size, self.device = config, rank, world_size, device
        torch.manual_seed(config.seed)
        encoder = start_encoder(config)
        self._split(shards, names, encoder.sample_rate_hz)
        self.learner = Learner(encoder, config.objectives, config.augment).to(device)
        freeze(self.learner, config.rate_factors)
        self.averaged = copy.deepcopy(self.learner).requires_grad_(False)
        self.memory = Memory(config.objectives, config.objectives.projection or encoder.dim).to(device)
        self.prototypes = None
        if config.objectives.has_prototypes:
            made = make_prototypes(self.averaged.encoder.eval(), self.views, config.objectives.one_singer)
            self.prototypes = made.to(device)
        # Unlike `self.learner`, the wrapped model averages gradients over the ranks.
        self.wrapped: nn.Module = (
            DistributedDataParallel(self.learner, broadcast_buffers=False) if world_size > 1 else self.learner
        )
        self.optimiser = make_optimiser(self.learner, config)
        self.step_number = 0
        self.clock = Clock(device)

    def _split(self, shards: ClipShards, names: Mapping[str, str] | None, sample_rate_hz: int) -> None:
        """Set some singers aside for validation, and train on the others."""
        config = self.config
        if config.views.same_singer == "group":
            # The clips in between test what was learned, and a track without a group may be by any singer.
            known, odd_ones = names or {}, every_other(shards.rows)
            teaches = [odd and row.track_id in known for odd, row in zip(odd_ones, shards.rows, strict=True)]
            shards = shards.subset(teaches)
        singers = [(names or {}).get(row.track_id, row.track_id) for row in shards.rows]
        out = held_out(singers, config.held_out)
        self.held_out = shards.subset(out)
        self.held_out_singers = [singer for singer, is_out in zip(singers, out, strict=True) if is_out]
        self.views = ViewDataset(
            shards.subset(~out),
            config.views,
            sample_rate_hz,
            config.batch,
            config.seed,
            names,
            self.rank,
            self.world_size,
            config.augment.codec,
        )

    def batches(self) -> Iterator[tuple[int, list[Batch]]]:
        """Yield the number of each remaining step, and its batches."""
        parts = self.config.accumulate
        # Where the network computes on the same cores, loading ahead gains nothing: 62 to 66 clips/s of `tiny` on two
        # cores with a thread that loads ahead, 64 without, 51 to 55 with a process.
        workers = self.config.cpus if self.device.type == "cuda" else 0
        batches = iter(self.views.loader(self.step_number * parts, self.config.steps * parts, workers))
        for step in range(self.step_number + 1, self.config.steps + 1):
            self.clock.start("loading")
            yield step, [next(batches) for _ in range(parts)]

    def augmented(self, step: int, part: int, batch: Batch) -> MicroBatch:
        """Move one part of a step's batch to the device and augment it."""
        generator = seeded(self.device, self.config.seed, step, part, self.rank)
        waves, lengths, identities = (x.to(self.device) for x in (batch.waves, batch.lengths, batch.identities))
        if waves.ndim == 3:
            return MicroBatch(waves, lengths, identities, generator)  # frames of a frozen trunk are not augmented
        rate = self.learner.encoder.sample_rate_hz
        return MicroBatch(*augment(waves, lengths, identities, rate, self.config.augment, generator), generator)

    def step(self, step: int, batches: list[Batch]) -> dict[str, float]:
        """Update the weights once and return the row of the log.

        Raises:
            TrainingStopped: a value is not finite; the weights are as before.
        """
        self.learner.train()
        rate = learning_rate(self.config, step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        self.optimiser.zero_grad(set_to_none=True)
        totals: dict[str, float] = {}
        for part, batch in enumerate(batches):
            self.clock.start("augment")
            micro = self.augmented(step, part, batch)
            for name, value in self._accumulate(micro, sync=part == len(batches) - 1).items():
                totals[name] = totals.get(name, 0.0) + value / len(batches)
        norm = float(nn.utils.clip_grad_norm_(self.learner.parameters(), self.config.clip_norm))
        check_finite(step, totals, norm)
        self.optimiser.step()
        update_average(self.averaged, self.learner, self.config.ema, step)
        self.step_number = step
        n_clips = self.config.batch * len(batches)
        row = {"step": step, "epoch": step * n_clips / len(self.views.shards)}
        return row | totals | {"learning_rate": rate, "gradient_norm": norm} | self.clock.finish(n_clips)

    def _accumulate(self, micro: MicroBatch, sync: bool) -> dict[str, float]:
        """Add the gradients of one batch; return the loss and its terms. sync: whether ranks exchange gradients."""
        unsynced = self.wrapped.no_sync if isinstance(self.wrapped, DistributedDataParallel) and not sync else None
        with unsynced() if unsynced else contextlib.nullcontext():
            self.clock.start("forward")
            with torch.autocast(self.device.type, torch.bfloat16, enabled=uses_bfloat16(self.config, self.device)):
                teacher = self._teach(micro)
                out: Outputs = self.wrapped(micro.waves, micro.lengths, micro.generator)
            terms = self.config.objectives
            values = loss_terms(out, teacher, micro.identities, terms, self.memory, self.prototypes)
            loss = torch.stack([getattr(terms, name) * value for name, value in values.items()]).sum()
            self.clock.start("backward")
            (loss / self.config.accumulate).backward()
        return {"loss": float(loss.detach())} | {name: float(value.detach()) for name, value in values.items()}

    @torch.no_grad()
    def _teach(self, micro: MicroBatch) -> Outputs | None:
        """Return the averaged encoder's outputs, where an objective needs them."""
        if not self.config.objectives.follows_average:
            return None
        teacher: Outputs = self.averaged(micro.waves, micro.lengths, None)
        return teacher

    def finish(self) -> None:
        """Blend and whiten as configured: see `encoder.training.finish`."""
        config, encoder = self.config, self.averaged.encoder.eval()
        if config.blend < 1:
            finish.blend(start_encoder(config).to(self.device), encoder, config.blend)
        if config.whiten is not None:
            count = -(-finish.CROPS // (2 * config.batch))
            finish.whiten(encoder, finish.head_outputs(encoder, self.views.loader(0, count, 0)), config.whiten)

    def validate(self, step: int) -> dict[str, float]:
        """Measure the averaged encoder on held-out singers, on rank 0.

        Raises:
            TrainingStopped: the embeddings have collapsed; on every rank.
        """
        measured: dict[str, float] = {}
        if self.rank == 0 and len(self.held_out) > 1:
            crop_s = self.config.views.crop_s
            measured = validate(self.averaged.encoder, self.held_out, self.held_out_singers, crop_s)
        collapsed = step > self.config.warmup and measured.get("embedding_std", 1.0) < self.config.collapse_std
        if any_rank(collapsed, self.device):
            raise TrainingStopped(
                f"step {step}: the embeddings have collapsed, every clip gets nearly the same vector: {measured}"
            )
        return measured

    def save(self, folder: Path, history: list[dict[str, float]]) -> Path:
        """Write a checkpoint with the log so far, and return its folder."""
        models = {name: getattr(self, name).state_dict() for name in STATEFUL}
        model_config = self.learner.encoder.config.model_dump(mode="json")
        position = {"step": self.step_number, "config": self.config.content(), "history": history}
        return state.write(folder, models | position | {"encoder_config": model_config})

    def restore(self, folder: Path) -> list[dict[str, float]]:
        """Load a checkpoint and return the log so far.

        Raises:
            ValueError: the checkpoint has another configuration.
        """
        found = state.read(folder, self.device, self.config.content())
        for name in STATEFUL:
            getattr(self, name).load_state_dict(found[name])
        self.step_number = int(found["step"])
        history: list[dict[str, float]] = found["history"]
        return history


def start_encoder(config: TrainConfig) -> Encoder:
    """Return the encoder that training starts from: one with random weights, or the one that `init` names.

    Raises:
        ValueError: it cannot be trained.
    """
    if config.init is None:
        return Encoder(preset(config.size))
    encoder = load(config.init)
    if not isinstance(encoder, Encoder):
        raise ValueError(f"{config.init} is a TorchScript file, which can embed but not be trained further")
    return encoder


def check_finite(step: int, values: Mapping[str, float], norm: float) -> None:
    """Check the values and the gradient norm of a step before they reach the weights.

    Raises:
        TrainingStopped: one is not finite.
    """
    broken = [name for name, value in {**values, "gradient norm": norm}.items() if not math.isfinite(value)]
    if broken:
        raise TrainingStopped(f"step {step}: {', '.join(broken)} not finite; the weights are as of step {step - 1}")
