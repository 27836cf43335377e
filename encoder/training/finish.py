"""Steps after training: blending with the initial weights, and whitening the head.

With few singers, training overfits. Weights between the initial and the final ones generalise better to new voices:
Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT). Partly whitening the head keeps the few
directions that separate kinds of voice from dominating the others.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from encoder.model import Encoder
from encoder.training import trunk
from encoder.training.parallel import gather
from encoder.training.views import Batch

CROPS = 1344  # for estimating the covariance
RIDGE = 0.5  # added to each variance, relative to their mean


def blend(start: Encoder, trained: Encoder, share: float) -> None:
    """Move the weights of `trained` back to `share` of the way from `start` to `trained`."""
    end = trained.state_dict()
    trained.load_state_dict({name: torch.lerp(tensor, end[name], share) for name, tensor in start.state_dict().items()})


@torch.no_grad()
def head_outputs(encoder: Encoder, batches: Iterable[Batch]) -> Tensor:
    """Compute the head's outputs for crops, before normalisation to unit length.

    Args:
        encoder: in evaluation mode.
        batches: of this rank.

    Returns:
        (crops, dim), of all ranks together.
    """
    device = next(encoder.parameters()).device
    outputs = []
    for batch in batches:
        waves, lengths = batch.waves.to(device), batch.lengths.to(device)
        outputs.append(gather(trunk.project(encoder, waves, lengths)))
    return torch.cat(outputs)


@torch.no_grad()
def whiten(encoder: Encoder, outputs: Tensor, power: float) -> None:
    """Centre the head's outputs, and scale each principal direction by (variance + ridge)^(-power / 2).

    Args:
        encoder: whose head is changed; the head remains one linear layer.
        outputs: (crops, dim), as `head_outputs` gives them.
        power: 0 centres only, 1 gives all directions the same variance.
    """
    outputs = outputs.double()
    mean = outputs.mean(0)
    variance, directions = torch.linalg.eigh(torch.cov(F.normalize(outputs - mean, dim=1).T))
    scaled = directions * (variance + RIDGE * variance.mean()) ** (-power / 2)
    scaled = (scaled / scaled.norm(dim=0).mean()).T
    encoder.head.bias.copy_(scaled @ (encoder.head.bias.double() - mean))
    encoder.head.weight.copy_(scaled @ encoder.head.weight.double())
