"""The terms of the loss: which outputs each term is computed from, and what some terms keep between steps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from encoder.training.config import ObjectivesConfig
from encoder.training.learner import Outputs
from encoder.training.objectives import alignment, byol, contrastive, dino, gate, prototypical, vicreg
from encoder.training.parallel import gather, mean_over_ranks
from encoder.training.prototypes import Prototypes

GATED = 2048  # past losses that the gate is fitted to
FEWEST_GATED = 512  # with fewer, nothing is left out


class Memory(nn.Module):
    """State that some terms keep between steps.

    DINO's centre, a queue of past embeddings by the averaged encoder, and the past losses that the gate is fitted to.
    """

    centre: Tensor
    queue: Tensor
    queue_identities: Tensor
    filled: Tensor
    losses: Tensor
    n_losses: Tensor

    def __init__(self, terms: ObjectivesConfig, size: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(terms.dino_outputs))
        self.register_buffer("queue", torch.zeros(terms.queue, size))
        self.register_buffer("queue_identities", torch.zeros(terms.queue, dtype=torch.int64))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))
        self.register_buffer("losses", torch.zeros(GATED if terms.gate else 0))
        self.register_buffer("n_losses", torch.zeros((), dtype=torch.int64))

    def past(self) -> tuple[Tensor, Tensor] | None:
        """Return the embeddings (q, p) in the queue and their identities (q,), if there are any."""
        filled = int(self.filled)
        return (self.queue[:filled], self.queue_identities[:filled]) if filled else None

    def remember(self, embeddings: Tensor, identities: Tensor) -> None:
        """Add embeddings (n, p) and identities (n,) to the front of the queue; the oldest are dropped."""
        size = len(self.queue)
        self.queue = torch.cat([embeddings.detach().float(), self.queue])[:size]
        self.queue_identities = torch.cat([identities, self.queue_identities])[:size]
        self.filled = torch.tensor(min(size, int(self.filled) + len(identities)))

    def likely(self, losses: Tensor) -> Tensor:
        """Return which of the losses (n,) belong to correctly labelled pairs (n,) bool, and keep the losses."""
        self.losses = torch.cat([losses.detach(), self.losses])[: len(self.losses)]
        self.n_losses = torch.tensor(min(len(self.losses), int(self.n_losses) + len(losses)))
        if self.n_losses < FEWEST_GATED:
            return torch.ones_like(losses, dtype=torch.bool)
        found = gate.likely(losses, self.losses[: int(self.n_losses)])
        return found if found.sum() > 1 else torch.ones_like(found)


def loss_terms(
    out: Outputs,
    teacher: Outputs | None,
    identities: Tensor,
    terms: ObjectivesConfig,
    memory: Memory,
    prototypes: Prototypes | None = None,
) -> dict[str, Tensor]:
    """Compute each term that has a weight, over the whole batch of all ranks.

    Args:
        out: outputs of the learner for this rank's clips.
        teacher: outputs of the averaged learner, if a term needs them.
        identities: (n,) of this rank's clips.
        terms: the weights and parameters of the terms.
        memory: their state, which is updated.
        prototypes: if a term needs them.

    Returns:
        A scalar for each term, by name, not weighted yet.
    """
    values: dict[str, Tensor] = {}
    if terms.masked:
        assert out.masked_loss is not None and out.masked_count is not None
        values["masked"] = mean_over_ranks(out.masked_loss, out.masked_count)
    if not terms.uses_embeddings:
        return values
    raw_1, raw_2 = (gather(view) for view in out.projection.float().chunk(2))
    whose = gather(identities)
    if terms.gate and prototypes is not None:
        kept = passed(raw_1, raw_2, whose, terms, memory, prototypes)
        raw_1, raw_2, whose = raw_1[kept], raw_2[kept], whose[kept]
    first, second = F.normalize(raw_1, dim=1), F.normalize(raw_2, dim=1)
    if terms.contrastive:
        past = memory.past()
        values["contrastive"] = contrastive.nt_xent(first, second, whose, terms.temperature, terms.decoupled, past)
        if terms.queue:
            # From the averaged encoder, which changes slowly: past embeddings stay comparable with the present ones.
            assert teacher is not None
            memory.remember(gather(F.normalize(teacher.projection.float().chunk(2)[0], dim=1)), whose)
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
    if prototypes is not None:
        values |= prototype_terms(torch.cat([first, second]), whose.repeat(2), terms, prototypes)
    if teacher is not None:
        values |= distillation_terms(out, teacher, terms, memory)
    return values


@torch.no_grad()
def passed(
    raw_1: Tensor, raw_2: Tensor, whose: Tensor, terms: ObjectivesConfig, memory: Memory, prototypes: Prototypes
) -> Tensor:
    """Return which pairs of views (n, dim) the gate keeps (n,) bool, by their cross-entropy over the prototypes."""
    vectors = F.normalize(torch.cat([raw_1, raw_2]), dim=1)
    losses = prototypical.cross_entropies(
        vectors, whose.repeat(2), prototypes.vectors, prototypes.ambiguous, terms.temperature
    )
    return memory.likely(losses.view(2, -1).mean(0))


def prototype_terms(
    vectors: Tensor, whose: Tensor, terms: ObjectivesConfig, prototypes: Prototypes
) -> dict[str, Tensor]:
    """Compute the terms that compare unit vectors (2n, dim) of identities (2n,) with the prototypes."""
    values: dict[str, Tensor] = {}
    if terms.prototypical:
        values["prototypical"] = prototypical.prototypical(
            vectors, whose, prototypes.vectors, prototypes.ambiguous, terms.temperature, terms.margin
        )
    if terms.attraction:
        values["attraction"] = prototypical.attraction(vectors, whose, prototypes.vectors)
    return values


def distillation_terms(out: Outputs, teacher: Outputs, terms: ObjectivesConfig, memory: Memory) -> dict[str, Tensor]:
    """Compute BYOL and DINO, which predict the averaged encoder's output for the other crop."""
    values: dict[str, Tensor] = {}
    if terms.byol:
        assert out.prediction is not None
        student, target = out.prediction.float().chunk(2), teacher.projection.float().chunk(2)
        values["byol"] = byol.byol(*(gather(x) for x in (*student, *target)))
    if terms.dino:
        assert out.logits is not None and teacher.logits is not None
        student, target = out.logits.float().chunk(2), teacher.logits.float().chunk(2)
        s1, s2, t1, t2 = (gather(x) for x in (*student, *target))
        values["dino"] = dino.dino(s1, s2, t1, t2, memory.centre)
        memory.centre = dino.update_centre(memory.centre, torch.cat([t1, t2]))
    return values
