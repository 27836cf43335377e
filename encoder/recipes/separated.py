"""The recipe of the shipped weights: CAM++ learns that a separated voice is still the same voice.

    python -m encoder.recipes.separated DATA CAMPPLUS.pt OUT [key=value ...]

DATA holds `<set>/<singer>/<song>.flac`, two channels at 16 kHz: the clean voice, and the same samples cut out of a
mix with an accompaniment by a separator. Several files of one song (other mixes) are `<song>~2.flac` and so on.
CAMPPLUS.pt are the published weights of 3D-Speaker's CAM++, the trunk to start from and, unchanged, the teacher.

A step takes a batch of singers and two crops of each, of two songs where the singer has two: one separated, the other
separated or clean. The teacher hears the same moments of the clean voice. What is taught moment by moment needs no
names, and keeps what CAM++ knows of voices that are not in the data (Hinton et al. 2015; for speaker embeddings,
Wang et al. 2019, "Knowledge distillation for small foot-print deep speaker embedding"):

- frames: squared difference of the contextual frames, in units of the teacher's variance of each channel, a frame
  weighing as it does in the student's pooling (`Encoder.prior`);
- cosine: distance of the two embeddings;
- moments: each embedding finds its own teacher's among those of the batch (InfoNCE, van den Oord et al. 2018).

What tells singers apart across songs and mixes:

- contrastive: NT-Xent between the two crops of a singer (`encoder.objectives.contrastive`);
- prototypes: each crop is told apart from all other singers of the data by its cosine to what the teacher makes of
  their clean voices (cross-entropy, as in prototypical networks, Snell et al. 2017, eq. 2).

Each recording played faster or slower counts as another singer, with a prototype of its own. Singers are drawn evenly,
or by `shares`: where a few of them fill a batch, the encoder learns those few. Adam's step is the same for all weights,
and CAM++ with its batch norms folded has tensors whose scales differ by three orders of magnitude; so each tensor has a
learning rate in proportion to its own scale.
"""

from __future__ import annotations

import copy
import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from encoder.augment.masks import mask_features
from encoder.campplus import from_campplus
from encoder.checkpoint import save
from encoder.config import NO_AUGMENT, Chance, campplus
from encoder.model import Encoder
from encoder.objectives.contrastive import nt_xent
from encoder.optimise import update_average
from encoder.recipes.singers import RATE_HZ, Crops, RecipeConfig, Views, read_singers
from encoder.train import check_finite

MASKS = NO_AUGMENT.model_copy(
    update={
        "time_mask_s": Chance(probability=0.3, low=0.05, high=0.5),
        "frequency_mask": Chance(probability=0.4, low=0.01, high=0.12),
    }
)


@dataclass(frozen=True)
class Prototypes:
    """The teacher's vector of each identity, and which pairs of identities may be one singer."""

    vectors: Tensor  # (identities, dim), unit
    ambiguous: Tensor  # (identities, identities) bool


@torch.no_grad()
def make_prototypes(teacher: Encoder, views: Views) -> Prototypes:
    """Mean teacher vector of each identity's clean crops."""
    config, means = views.config, []
    for identity in range(len(views.singers) * len(config.speeds)):
        means.append(F.normalize(hear(teacher, views.clean_crops(identity)).embeddings.mean(0), dim=0))
    vectors = torch.stack(means)
    groups = [singer.group for singer in views.singers for _ in config.speeds]
    limits = torch.full((len(groups), len(groups)), config.same_singer)
    for group in config.unlabelled:
        inside = torch.tensor([g == group for g in groups])
        limits[inside[:, None] & inside] = config.same_singer_unlabelled
    return Prototypes(vectors, (vectors @ vectors.T > limits).fill_diagonal_(False))


@dataclass(frozen=True)
class Heard:
    """What an encoder makes of n crops: frames (n, frames, width), embeddings (n, dim) of unit length; its features."""

    frames: Tensor
    embeddings: Tensor
    features: Tensor


def hear(encoder: Encoder, waves: Tensor, generator: torch.Generator | None = None) -> Heard:
    """Embed crops (n, samples), their features masked with a generator."""
    with torch.no_grad():
        features, n_frames = encoder.features(waves, RATE_HZ, torch.full((len(waves),), waves.shape[1]))
        if generator is not None:
            features = mask_features(features, n_frames, MASKS, generator, encoder.config.front_end.hop_s)
    with torch.autocast("cpu", torch.bfloat16):
        frames, n_frames = encoder.frames(features, n_frames)
    frames = frames.float()
    return Heard(frames, encoder.embed(frames, n_frames, features), features)


def frame_distance(frames: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Mean squared difference of frames (n, frames, width), each channel in units of its targets' variance.

    weights: (n, frames), how much each counts.
    """
    difference = ((frames - targets).square() * weights[..., None]).sum((0, 1)) / weights.sum()
    return (difference / targets.var((0, 1)).clamp(min=1e-4)).mean()


def find_teacher(embeddings: Tensor, targets: Tensor, identities: Tensor, temperature: float) -> Tensor:
    """InfoNCE of unit vectors (n, dim) against their targets (n, dim); other crops of a singer are not negatives."""
    same = (identities[:, None] == identities) & ~torch.eye(len(identities), dtype=torch.bool)
    logits = (embeddings @ targets.T / temperature).masked_fill(same, -torch.inf)
    return F.cross_entropy(logits, torch.arange(len(identities)))


def tell_apart(embeddings: Tensor, identities: Tensor, prototypes: Prototypes, temperature: float) -> Tensor:
    """Cross-entropy over prototypes. embeddings: (n, dim) unit vectors, identities: (n,)."""
    logits = embeddings @ prototypes.vectors.T / temperature
    return F.cross_entropy(logits.masked_fill(prototypes.ambiguous[identities], -torch.inf), identities)


def loss_terms(student: Encoder, teacher: Encoder, crops: Crops, prototypes: Prototypes, config: RecipeConfig,
               generator: torch.Generator) -> dict[str, Tensor]:  # fmt: skip
    """The weighted terms of one batch."""
    with torch.no_grad():
        target = hear(teacher, crops.clean)
        weights = student.prior(target.features).softmax(1)
    found = hear(student, crops.heard, generator)
    first, second = found.embeddings.chunk(2)
    identities, temperature = crops.identities.repeat(2), config.temperature
    # About the mean of all voices, which says nothing about any of them.
    centre = prototypes.vectors.mean(0)
    ours, theirs = (F.normalize(vectors - centre, dim=1) for vectors in (found.embeddings, target.embeddings))
    return {
        "frames": config.frames * frame_distance(found.frames, target.frames, weights),
        "cosine": config.cosine * (1 - (found.embeddings * target.embeddings).sum(1).mean()),
        "moments": config.moments * find_teacher(ours, theirs, identities, temperature),
        "contrastive": config.contrastive * nt_xent(first, second, crops.identities, temperature),
        "prototypes": config.prototypes * tell_apart(found.embeddings, identities, prototypes, temperature),
    }


def optimiser_of(student: Encoder, config: RecipeConfig) -> torch.optim.AdamW:
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


def start(weights: Path, config: RecipeConfig, loudness: float) -> Encoder:
    """An encoder that is CAM++ so far, its transformer adding nothing yet."""
    torch.manual_seed(config.seed)
    encoder = Encoder(campplus(layers=config.layers, mlp_ratio=config.mlp_ratio, loudness=loudness))
    encoder.load_state_dict(from_campplus(torch.load(weights, weights_only=True)), strict=False)
    return encoder.eval()


def train(data: Path, weights: Path, out: Path, config: RecipeConfig) -> Encoder:
    """Run the recipe; `out` gets log.csv, every 50 steps averaged.pt, and encoder/. -> that encoder."""
    views = Views(read_singers(data), config)
    teacher, student = start(weights, config, 0.0).requires_grad_(False), start(weights, config, config.loudness)
    prototypes = make_prototypes(teacher, views)
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
            terms = loss_terms(student, teacher, views.batch(), prototypes, config, generator)
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
            if step % 50 == 0 or step == config.steps:
                torch.save(averaged.state_dict(), out / ".averaged.pt")
                (out / ".averaged.pt").replace(out / "averaged.pt")
    save(averaged, out / "encoder", {"recipe": config.model_dump(mode="json")}, "Made by encoder.recipes.separated.\n")
    return averaged


def main(arguments: list[str]) -> None:
    data, weights, out, *changes = arguments
    given = {key: json.loads(value) for key, value in (change.split("=", 1) for change in changes)}
    train(Path(data), Path(weights), Path(out), RecipeConfig.model_validate(given))


if __name__ == "__main__":
    main(sys.argv[1:])
