"""What is trained: the encoder with the heads that its objectives need, and the sum of the terms.

views -> Learner.forward (one pass: masked mel, frames, embedding, heads) -> loss_terms -> weighted sum
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from encoder.config import AugmentConfig, ObjectivesConfig
from encoder.model import Encoder
from encoder.training.augment.masks import mask_features
from encoder.training.objectives import alignment, byol, contrastive, dino, masked, vicreg
from encoder.training.parallel import gather, mean_over_ranks

CODE_DIM = 16


@dataclass
class Outputs:
    """Of both views of n clips, first views before second.

    projection (2n, p): embedding or its projection; prediction (2n, p): BYOL's; prototypes (2n, k): DINO's logits;
    masked_loss, masked_count: sum and number over masked frames.
    """

    projection: Tensor
    prediction: Tensor | None = None
    prototypes: Tensor | None = None
    masked_loss: Tensor | None = None
    masked_count: Tensor | None = None


def mlp(inside: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inside, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, out))


class Learner(nn.Module):
    """An encoder and the heads of its objectives; heads of terms with weight 0 do not exist."""

    quantiser: Tensor
    codebook: Tensor

    def __init__(self, encoder: Encoder, terms: ObjectivesConfig, augment: AugmentConfig) -> None:
        super().__init__()
        self.encoder, self.terms, self.augment = encoder, terms, augment
        size = terms.projection or encoder.dim
        self.projector = mlp(encoder.dim, size, size) if terms.projection else nn.Identity()
        self.predictor = mlp(size, size, size) if terms.byol else None
        self.prototypes = (
            nn.utils.parametrizations.weight_norm(nn.Linear(size, terms.prototypes, bias=False)) if terms.dino else None
        )
        if terms.masked:
            stride = encoder.stride
            self.codes = nn.Linear(encoder.config.width, terms.codes)
            shape = (stride * encoder.config.front_end.n_mels, CODE_DIM)
            self.register_buffer("quantiser", nn.init.xavier_normal_(torch.empty(shape)))
            self.register_buffer("codebook", F.normalize(torch.randn(terms.codes, CODE_DIM), dim=1))

    def forward(self, waves: Tensor, lengths: Tensor, generator: torch.Generator | None) -> Outputs:
        """waves: (2n, samples) at the encoder's rate, lengths: (2n,); without generator nothing is masked."""
        with torch.no_grad():
            features, n_frames = self.encoder.features(waves, self.encoder.sample_rate_hz, lengths)
            clean, mask = features, None
            if generator is not None:
                features = mask_features(
                    features, n_frames, self.augment, generator, self.encoder.config.front_end.hop_s
                )
                if self.terms.masked:
                    features, mask = self._hide(features, n_frames, generator)
        frames, n_frames = self.encoder.frames(features, n_frames)
        projection = self.projector(self.encoder.embed(frames, n_frames, features))
        out = Outputs(projection)
        if self.predictor is not None:
            out.prediction = self.predictor(projection)
        if self.prototypes is not None:
            out.prototypes = self.prototypes(F.normalize(projection, dim=1))
        if mask is not None:
            stride = self.encoder.stride
            codes = masked.quantise(clean, stride, self.quantiser, self.codebook)
            out.masked_loss, out.masked_count = masked.masked_prediction(self.codes(frames), codes, mask)
        return out

    def _hide(self, features: Tensor, n_frames: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Mask spans of mel frames; gives also which contextual frames are wholly hidden."""
        stride = self.encoder.stride
        frames = features.shape[1]
        # Spans begin and end on contextual frames, so that none is hidden by half.
        size = -(-frames // stride)
        span = max(1, round(self.terms.mask_span / stride))
        start = 1 - (1 - self.terms.mask_start) ** stride
        whole = torch.div(n_frames, stride, rounding_mode="floor")
        hidden = masked.mask_spans(whole, size, start, span, generator)
        mask = hidden.repeat_interleave(stride, dim=1)[:, :frames]
        return masked.apply_mask(features, mask, generator), hidden


class Memory(nn.Module):
    """What some terms remember between steps: DINO's centre, the queue of the EMA encoder's past embeddings."""

    centre: Tensor
    queue: Tensor
    queue_singers: Tensor
    filled: Tensor

    def __init__(self, terms: ObjectivesConfig, size: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(terms.prototypes))
        self.register_buffer("queue", torch.zeros(terms.queue, size))
        self.register_buffer("queue_singers", torch.zeros(terms.queue, dtype=torch.int64))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    def past(self) -> tuple[Tensor, Tensor] | None:
        filled = int(self.filled)
        return (self.queue[:filled], self.queue_singers[:filled]) if filled else None

    def remember(self, embeddings: Tensor, singers: Tensor) -> None:
        """Newest first; what falls off the end is forgotten."""
        size = len(self.queue)
        self.queue = torch.cat([embeddings.detach().float(), self.queue])[:size]
        self.queue_singers = torch.cat([singers, self.queue_singers])[:size]
        self.filled = torch.tensor(min(size, int(self.filled) + len(singers)))


def loss_terms(
    out: Outputs, teacher: Outputs | None, singers: Tensor, terms: ObjectivesConfig, memory: Memory
) -> dict[str, Tensor]:
    """Each term with a weight, over the whole batch of all ranks. singers: (n,) of this rank."""
    raw_1, raw_2 = (gather(view) for view in out.projection.float().chunk(2))
    first, second = F.normalize(raw_1, dim=1), F.normalize(raw_2, dim=1)
    values: dict[str, Tensor] = {}
    if terms.contrastive:
        who = gather(singers)
        values["contrastive"] = contrastive.nt_xent(
            first, second, who, terms.temperature, terms.decoupled, memory.past()
        )
        if terms.queue:
            # As the EMA encoder has them: of one that changes fast, the past is told apart by its age alone.
            assert teacher is not None
            memory.remember(gather(F.normalize(teacher.projection.float().chunk(2)[0], dim=1)), who)
    if terms.masked:
        assert out.masked_loss is not None
        assert out.masked_count is not None
        values["masked"] = mean_over_ranks(out.masked_loss, out.masked_count)
    if terms.invariance:
        values["invariance"] = vicreg.invariance(raw_1, raw_2) / raw_1.shape[1]
    if terms.variance:
        values["variance"] = (vicreg.variance(raw_1) + vicreg.variance(raw_2)) / 2
    if terms.covariance:
        values["covariance"] = vicreg.covariance(raw_1) + vicreg.covariance(raw_2)
    if terms.alignment:
        values["alignment"] = alignment.alignment(first, second)
    if terms.uniformity:
        values["uniformity"] = (alignment.uniformity(first) + alignment.uniformity(second)) / 2
    if teacher is not None:
        values |= distillation_terms(out, teacher, terms, memory)
    return values


def distillation_terms(out: Outputs, teacher: Outputs, terms: ObjectivesConfig, memory: Memory) -> dict[str, Tensor]:
    """BYOL and DINO: both follow the EMA encoder's view of the other crop."""
    values: dict[str, Tensor] = {}
    if terms.byol:
        assert out.prediction is not None
        student, target = out.prediction.float().chunk(2), teacher.projection.float().chunk(2)
        values["byol"] = byol.byol(*(gather(x) for x in (*student, *target)))
    if terms.dino:
        assert out.prototypes is not None
        assert teacher.prototypes is not None
        student, target = out.prototypes.float().chunk(2), teacher.prototypes.float().chunk(2)
        s1, s2, t1, t2 = (gather(x) for x in (*student, *target))
        values["dino"] = dino.dino(s1, s2, t1, t2, memory.centre)
        memory.centre = dino.update_centre(memory.centre, torch.cat([t1, t2]))
    return values
