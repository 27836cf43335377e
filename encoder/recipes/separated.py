"""The recipe of the shipped weights: CAM++ learns to hear through a separator.

    python -m encoder.recipes.separated DATA CAMPPLUS.pt OUT [key=value ...]

DATA holds `<set>/<singer>/*.flac`, three channels at 16 kHz, sample by sample the same singing: the clean voice, what a
separator cut out of its mix with an accompaniment, and that mix. CAMPPLUS.pt are the published weights of 3D-Speaker's
CAM++, which is both the trunk to start from and, unchanged, the teacher.

The teacher hears the clean voice, the student the same moment separated, and is taught to make of it what the teacher
makes (Hinton et al. 2015; for speaker embeddings, Wang et al. 2019, "Knowledge distillation for small foot-print deep
speaker embedding"), so that nothing about singers needs to be learned from few of them, and no labels are used. Terms:

- frames: squared difference of the contextual frames, in units of the teacher's variance of each channel, a frame
  weighing as it does in the student's pooling (`Encoder.prior`);
- cosine: of the two embeddings;
- contrastive: each embedding finds its own teacher's among those of the batch (InfoNCE, van den Oord et al. 2018).

Adam's step is the same for all weights, and CAM++ with its batch norms folded has tensors whose scales differ by three
orders of magnitude; so each tensor has a learning rate in proportion to its own scale. Layers named in `fixed` stay as
they are. The run is short on purpose: a hundred steps win all there is to win on voices that are not in the data, after
which the student still comes nearer to its teacher, and singers nearer to each other.
"""

from __future__ import annotations

import copy
import json
import math
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from encoder.augment.masks import mask_features
from encoder.campplus import from_campplus
from encoder.checkpoint import save
from encoder.config import NO_AUGMENT, Chance, campplus
from encoder.frontend import valid_mask
from encoder.model import Encoder
from encoder.optimise import update_average
from encoder.recipes.recordings import RATE_HZ, Crops, Drawer, RecipeConfig, read_recordings
from encoder.train import check_finite

MASKS = NO_AUGMENT.model_copy(
    update={
        "time_mask_s": Chance(probability=0.15, low=0.05, high=0.3),
        "frequency_mask": Chance(probability=0.2, low=0.01, high=0.1),
    }
)


def heard(encoder: Encoder, waves: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Contextual frames (n, frames, width), embeddings (n, dim), not of unit length, and features; masked with a
    generator."""
    with torch.no_grad():
        features, n_frames = encoder.features(waves, RATE_HZ, torch.full((len(waves),), waves.shape[1]))
        if generator is not None:
            features = mask_features(features, n_frames, MASKS, generator, encoder.config.front_end.hop_s)
    with torch.autocast("cpu", torch.bfloat16):
        frames, n_frames = encoder.frames(features, n_frames)
    frames = frames.float()
    pooled = encoder.pool(frames, valid_mask(n_frames, frames.shape[1]), encoder.prior(features))
    return frames, encoder.head(pooled), features


def frame_distance(frames: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Mean squared difference of frames (n, frames, width), each channel in units of its targets' variance.

    weights: (n, frames), how much each counts.
    """
    difference = ((frames - targets).square() * weights[..., None]).sum((0, 1)) / weights.sum()
    return (difference / targets.var((0, 1)).clamp(min=1e-4)).mean()


def find_teacher(embeddings: Tensor, targets: Tensor, singers: Tensor, temperature: float) -> Tensor:
    """InfoNCE of unit vectors (n, dim) against their targets (n, dim); other crops of a singer are not negatives."""
    same = (singers[:, None] == singers) & ~torch.eye(len(singers), dtype=torch.bool)
    logits = (embeddings @ targets.T / temperature).masked_fill(same, -torch.inf)
    return F.cross_entropy(logits, torch.arange(len(singers)))


def loss_terms(student: Encoder, teacher: Encoder, crops: Crops, centre: Tensor, config: RecipeConfig,
               generator: torch.Generator) -> dict[str, Tensor]:  # fmt: skip
    """The weighted terms of one batch. centre: (dim,) the mean of the teacher's unit vectors."""
    with torch.no_grad():
        target_frames, target, clean = heard(teacher, crops.teacher)
        target = F.normalize(target, dim=1)
        weights = student.prior(clean).softmax(1)
    frames, embedding, _ = heard(student, crops.student, generator)
    embedding = F.normalize(embedding, dim=1)
    ours, theirs = F.normalize(embedding - centre, dim=1), F.normalize(target - centre, dim=1)
    return {
        "frames": config.frames * frame_distance(frames, target_frames, weights),
        "cosine": config.cosine * (1 - (embedding * target).sum(1).mean()),
        "contrastive": config.contrastive * find_teacher(ours, theirs, crops.singers, config.temperature),
    }


def start(weights: Path, config: RecipeConfig, loudness: float) -> Encoder:
    """An encoder that is CAM++ so far, its transformer adding nothing yet."""
    torch.manual_seed(config.seed)
    encoder = Encoder(campplus(layers=config.layers, mlp_ratio=config.mlp_ratio, loudness=loudness))
    encoder.load_state_dict(from_campplus(torch.load(weights, weights_only=True)), strict=False)
    return encoder.eval()


def optimiser_of(student: Encoder, config: RecipeConfig) -> torch.optim.Optimizer:
    """Adam with a learning rate (`peak`) for each tensor in proportion to its scale; `fixed` ones get no gradient."""
    groups = []
    for name, parameter in student.named_parameters():
        if name.startswith(config.fixed):
            parameter.requires_grad_(False)
        elif name.startswith(("blocks", "pool")):
            groups.append({"params": [parameter], "peak": config.relative_rate_new * max(scale_of(parameter), 0.02)})
        else:
            groups.append({"params": [parameter], "peak": config.relative_rate * max(scale_of(parameter), 1e-4)})
    return torch.optim.AdamW(groups, lr=0.0, weight_decay=0.0, betas=(0.9, 0.98), fused=True)


def scale_of(parameter: Tensor) -> float:
    """Root mean square of a weight; of scales and biases the median, as a few are far larger than the others."""
    values = parameter.detach()
    return float(values.square().mean().sqrt() if values.ndim > 1 else values.abs().median())


def train(data: Path, weights: Path, out: Path, config: RecipeConfig) -> Encoder:
    """Run the recipe; `out` gets log.csv, now and then averaged-<step>.pt, and encoder/. -> that encoder."""
    drawer = Drawer(read_recordings(data), config)
    teacher, student = start(weights, config, 0.0).requires_grad_(False), start(weights, config, config.loudness)
    with torch.no_grad():
        centre = torch.cat([F.normalize(heard(teacher, drawer.batch().teacher)[1], dim=1) for _ in range(6)]).mean(0)
    averaged = copy.deepcopy(student).requires_grad_(False)
    optimiser, generator = optimiser_of(student, config), torch.Generator().manual_seed(config.seed)
    out.mkdir(parents=True, exist_ok=True)
    (out / "recipe.json").write_text(config.model_dump_json(indent=2))
    began = time.monotonic()
    with open(out / "log.csv", "w", buffering=1) as log:
        for step in range(1, config.steps + 1):
            share = 0.5 + 0.5 * math.cos(math.pi * (step - 1) / config.steps)
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * min(1.0, step / config.warmup) * share
            terms = loss_terms(student, teacher, drawer.batch(), centre, config, generator)
            optimiser.zero_grad(set_to_none=True)
            torch.stack(list(terms.values())).sum().backward()
            norm = float(torch.nn.utils.clip_grad_norm_(student.parameters(), 5.0))
            values = {name: float(value.detach()) for name, value in terms.items()}
            check_finite(step, values, norm)
            optimiser.step()
            update_average(averaged, student, config.ema, step)
            if step == 1:
                log.write(",".join(["step", "seconds", *values, "gradient_norm"]) + "\n")
            log.write(",".join(f"{x:.5g}" for x in [step, time.monotonic() - began, *values.values(), norm]) + "\n")
            if step % config.keep_every == 0 or step == config.steps:
                torch.save(averaged.state_dict(), out / f"averaged-{step}.pt")
    save(averaged, out / "encoder", {"recipe": config.model_dump(mode="json")}, "Made by encoder.recipes.separated.\n")
    return averaged


def main(arguments: list[str]) -> None:
    data, weights, out, *changes = arguments
    given = {key: json.loads(value) for key, value in (change.split("=", 1) for change in changes)}
    train(Path(data), Path(weights), Path(out), RecipeConfig.model_validate(given))


if __name__ == "__main__":
    main(sys.argv[1:])
