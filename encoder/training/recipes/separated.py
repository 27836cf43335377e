"""The recipe of the shipped weights: CAM++ learns that a separated voice is still the same voice.

    python -m encoder.training.recipes.separated DATA CAMPPLUS.pt OUT [key=value ...]

DATA holds `<set>/<singer>/<song>.flac`, two channels at 16 kHz: the clean voice, and the same samples cut out of a
mix with an accompaniment by a separator. Several files of one song (other mixes) are `<song>~2.flac` and so on.
CAMPPLUS.pt are the published weights of 3D-Speaker's CAM++, the trunk to start from and the teacher.

A step takes a batch of singers and two crops of each, of two songs where the singer has two: one separated, the other
separated or clean. Two terms:

- contrastive: NT-Xent between the two crops of a singer (`encoder.training.objectives.contrastive`);
- prototypes: each crop is told apart from all other singers of the data by its cosine to what the *teacher* makes of
  their clean voices (cross-entropy, as in prototypical networks, Snell et al. 2017, eq. 2), and drawn to its own.

Each recording played faster or slower counts as another singer, with a prototype of its own. At the end the weights go
back a part of the way to where they started (Wortsman et al. 2022, "Robust fine-tuning", WiSE-FT): few singers are
learned by heart sooner than the artefacts of a separator are understood, and half way does better on new voices.
Last, the head is whitened in part over the data, so that the few directions that tell kinds of voice apart do not
drown the others.
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

from encoder.campplus import from_campplus
from encoder.checkpoint import save
from encoder.config import NO_AUGMENT, Chance, campplus
from encoder.model import Encoder
from encoder.precision import multiplies_bfloat16
from encoder.training.augment.masks import mask_features
from encoder.training.loop import check_finite
from encoder.training.objectives.contrastive import nt_xent
from encoder.training.optimise import update_average
from encoder.training.recipes.singers import RATE_HZ, RecipeConfig, Views, read_singers

MASKS = NO_AUGMENT.model_copy(
    update={
        "time_mask_s": Chance(probability=0.3, low=0.05, high=0.5),
        "frequency_mask": Chance(probability=0.4, low=0.01, high=0.12),
    }
)


def autocast() -> torch.autocast:
    """bfloat16 for the networks, where the processor multiplies it."""
    return torch.autocast("cpu", torch.bfloat16, enabled=multiplies_bfloat16(torch.device("cpu")))


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
        with autocast():
            means.append(F.normalize(teacher(views.clean_crops(identity), RATE_HZ).float().mean(0), dim=0))
    vectors = torch.stack(means)
    groups = [singer.group for singer in views.singers for _ in config.speeds]
    limits = torch.full((len(groups), len(groups)), config.same_singer)
    for group in config.unlabelled:
        inside = torch.tensor([g == group for g in groups])
        limits[inside[:, None] & inside] = config.same_singer_unlabelled
    return Prototypes(vectors, (vectors @ vectors.T > limits).fill_diagonal_(False))


def prototype_terms(
    embeddings: Tensor, identities: Tensor, prototypes: Prototypes, temperature: float
) -> tuple[Tensor, Tensor]:
    """Cross-entropy over prototypes, and mean cosine distance to one's own. embeddings: (n, dim) unit vectors."""
    cosine = embeddings @ prototypes.vectors.T
    logits = (cosine / temperature).masked_fill(prototypes.ambiguous[identities], -torch.inf)
    return F.cross_entropy(logits, identities), 1 - cosine.gather(1, identities[:, None]).mean()


def loss_terms(student: Encoder, waves: Tensor, identities: Tensor, prototypes: Prototypes, config: RecipeConfig,
               generator: torch.Generator) -> dict[str, Tensor]:  # fmt: skip
    """The weighted terms of one batch."""
    lengths = torch.full((len(waves),), waves.shape[1])
    with torch.no_grad():
        features, n_frames = student.features(waves, RATE_HZ, lengths)
        features = mask_features(features, n_frames, MASKS, generator, student.config.front_end.hop_s)
    with autocast():
        frames, n_frames = student.frames(features, n_frames)
    embeddings = student.embed(frames.float(), n_frames, features)
    first, second = embeddings.chunk(2)
    apart, near = prototype_terms(embeddings, identities.repeat(2), prototypes, config.temperature)
    return {
        "contrastive": config.contrastive * nt_xent(first, second, identities, config.temperature),
        "prototypes": config.prototypes * apart,
        "cosine": config.cosine * near,
    }


def optimiser_of(student: Encoder, config: RecipeConfig) -> torch.optim.AdamW:
    """Gentle on what CAM++ knows, quicker on what is new; the two-dimensional convolutions stay as they are."""
    new, known = [], []
    for name, parameter in student.named_parameters():
        if name.startswith(("stem.conv_in", "stem.residuals", "stem.conv_out")):
            parameter.requires_grad_(False)
        elif name.startswith(("blocks", "pool")):
            new.append(parameter)
        else:
            known.append(parameter)
    groups = [{"params": known, "peak": config.learning_rate}, {"params": new, "peak": config.learning_rate_new}]
    return torch.optim.AdamW(groups, lr=0.0, weight_decay=config.weight_decay, betas=(0.9, 0.98))


def start(weights: Path, config: RecipeConfig) -> Encoder:
    """An encoder that is CAM++ so far, its transformer adding nothing yet."""
    torch.manual_seed(config.seed)
    encoder = Encoder(campplus(layers=config.layers, mlp_ratio=config.mlp_ratio, loudness=config.loudness))
    encoder.load_state_dict(from_campplus(torch.load(weights, weights_only=True)), strict=False)
    return encoder.eval()


@torch.no_grad()
def head_outputs(encoder: Encoder, views: Views, batches: int) -> Tensor:
    """The head's output for crops as training hears them, before it is brought to unit length. -> (crops, dim)"""
    outputs = []
    for _ in range(batches):
        waves, _ = views.batch()
        features, n_frames = encoder.features(waves, RATE_HZ, torch.full((len(waves),), waves.shape[1]))
        with autocast():
            frames, n_frames = encoder.frames(features, n_frames)
        outputs.append(encoder.project(frames.float(), n_frames, features))
    return torch.cat(outputs)


@torch.no_grad()
def centre(encoder: Encoder, outputs: Tensor) -> None:
    """Move the head's bias so that the data's mean vector is zero; cosines then spread about zero."""
    encoder.head.bias.sub_(outputs.mean(0))


@torch.no_grad()
def whiten(encoder: Encoder, outputs: Tensor, power: float, ridge: float) -> None:
    """Centre the head and scale each principal direction of the data by (variance + ridge * mean)^(-power / 2).

    outputs: (crops, dim) of `head_outputs`; power 0 changes no cosine but by the centring, 1 is full whitening.
    """
    mean = outputs.double().mean(0)
    variance, directions = torch.linalg.eigh(torch.cov(F.normalize(outputs.double() - mean, dim=1).T))
    scaled = directions * (variance + ridge * variance.mean()) ** (-power / 2)
    scaled = (scaled / scaled.norm(dim=0).mean()).T
    encoder.head.bias.copy_(scaled @ (encoder.head.bias.double() - mean))
    encoder.head.weight.copy_(scaled @ encoder.head.weight.double())


def train(data: Path, weights: Path, out: Path, config: RecipeConfig) -> Encoder:
    """Run the recipe; `out` gets log.csv, every 50 steps averaged.pt, and encoder/. -> that encoder."""
    views = Views(read_singers(data), config)
    student = start(weights, config)
    centre(student, head_outputs(student, views, batches=6))
    prototypes = make_prototypes(student, views)
    averaged = copy.deepcopy(student).requires_grad_(False)
    beginning = copy.deepcopy(student.state_dict())
    optimiser, generator = optimiser_of(student, config), torch.Generator().manual_seed(config.seed)
    out.mkdir(parents=True, exist_ok=True)
    (out / "recipe.json").write_text(config.model_dump_json(indent=2))
    began = time.monotonic()
    with open(out / "log.csv", "w", buffering=1) as log:
        for step in range(1, config.steps + 1):
            share = 0.5 + 0.5 * math.cos(math.pi * (step - 1) / config.steps)
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * min(1.0, step / config.warmup) * share
            terms = loss_terms(student, *views.batch(), prototypes, config, generator)
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
    averaged.load_state_dict(blend(beginning, averaged.state_dict(), config.blend))
    whiten(averaged, head_outputs(averaged, views, config.whiten_batches), config.whiten, config.whiten_ridge)
    save(averaged, out / "encoder", {"recipe": config.model_dump(mode="json")}, f"Made by {__name__}.\n")
    return averaged


def blend(beginning: dict[str, Tensor], end: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """The weights `share` of the way from beginning to end."""
    return {name: torch.lerp(beginning[name], tensor, share) for name, tensor in end.items()}


def main(arguments: list[str]) -> None:
    data, weights, out, *changes = arguments
    given = {key: json.loads(value) for key, value in (change.split("=", 1) for change in changes)}
    train(Path(data), Path(weights), Path(out), RecipeConfig.model_validate(given))


if __name__ == "__main__":
    main(sys.argv[1:])
