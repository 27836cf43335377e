"""The steps after training: weights part of the way back, and a whitened head.

Few singers are learned by heart before anything general is understood. The weights part of the way from where training
started to where it ended do better on new voices: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"
(WiSE-FT). A head that is whitened in part keeps the few directions that tell kinds of voice apart from drowning the
others.
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

CROPS = 1344  # that the head is whitened by
RIDGE = 0.5  # of the mean variance, added to each


def blend(start: Encoder, trained: Encoder, share: float) -> None:
    """Set the weights of `trained` to those that lie `share` of the way from `start` to it."""
    end = trained.state_dict()
    trained.load_state_dict({name: torch.lerp(tensor, end[name], share) for name, tensor in start.state_dict().items()})


@torch.no_grad()
def head_outputs(encoder: Encoder, batches: Iterable[Batch]) -> Tensor:
    """Compute what the head gives for crops before it is brought to unit norm.

    Args:
        encoder: in evaluation mode.
        batches: this rank's.

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
    """Centre the head, and scale each principal direction of the data by (variance + ridge)^(-power / 2).

    Args:
        encoder: whose head is changed; it stays one linear layer.
        outputs: (crops, dim), as `head_outputs` gives them.
        power: 0 centres only, 1 makes all directions alike.
    """
    outputs = outputs.double()
    mean = outputs.mean(0)
    variance, directions = torch.linalg.eigh(torch.cov(F.normalize(outputs - mean, dim=1).T))
    scaled = directions * (variance + RIDGE * variance.mean()) ** (-power / 2)
    scaled = (scaled / scaled.norm(dim=0).mean()).T
    encoder.head.bias.copy_(scaled @ (encoder.head.bias.double() - mean))
    encoder.head.weight.copy_(scaled @ encoder.head.weight.double())
