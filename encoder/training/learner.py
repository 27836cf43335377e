"""The model that is trained: the encoder and the heads that its objectives need.

views -> Learner.forward (one pass: masked mel, frames, embedding, heads) -> `encoder.training.loss` -> weighted sum
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from encoder.model import Encoder
from encoder.training import trunk
from encoder.training.augment.masks import mask_features
from encoder.training.config import AugmentConfig, ObjectivesConfig
from encoder.training.objectives import masked

CODE_DIM = 16


@dataclass
class Outputs:
    """Outputs for both views of n clips, all first views before all second.

    Attributes:
        projection: (2n, p), the embeddings or their projections.
        prediction: (2n, p), of BYOL's predictor.
        logits: (2n, K), of DINO's last layer.
        masked_loss: the sum over masked frames.
        masked_count: the number of them.
    """

    projection: Tensor
    prediction: Tensor | None = None
    logits: Tensor | None = None
    masked_loss: Tensor | None = None
    masked_count: Tensor | None = None


def mlp(inside: int, hidden: int, out: int) -> nn.Sequential:
    """Return a projector or predictor: two linear layers with layer norm and GELU between them."""
    return nn.Sequential(nn.Linear(inside, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, out))


def unit_rows(inside: int, out: int) -> nn.Linear:
    """Return DINO's last layer: its rows keep unit norm, since the scale of weight normalisation is fixed at one."""
    layer: nn.Linear = nn.utils.parametrizations.weight_norm(nn.Linear(inside, out, bias=False))
    scale = layer.get_parameter("parametrizations.weight.original0")
    nn.init.ones_(scale)
    scale.requires_grad_(False)
    return layer


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
        self.last_layer = unit_rows(size, terms.dino_outputs) if terms.dino else None
        if terms.masked:
            self.codes = nn.Linear(encoder.config.width, terms.codes)
            shape = (encoder.stride * encoder.config.front_end.n_mels, CODE_DIM)
            self.register_buffer("quantiser", nn.init.xavier_normal_(torch.empty(shape)))
            self.register_buffer("codebook", F.normalize(torch.randn(terms.codes, CODE_DIM), dim=1))
        if not terms.uses_embeddings:
            # They get no gradient, and distributed workers would wait for it for ever.
            for module in (encoder.pool, encoder.head, self.projector):
                module.requires_grad_(False)

    def forward(self, waves: Tensor, lengths: Tensor, generator: torch.Generator | None) -> Outputs:
        """Run encoder and heads on both views of n clips.

        Args:
            waves: (2n, samples) at the encoder's rate, or (2n, frames, width + 1) from a frozen trunk.
            lengths: (2n,) samples or frames.
            generator: of the masks' random numbers; None: nothing is masked.
        """
        if waves.ndim == 3:
            return self._with_heads(trunk.embed(self.encoder, waves, lengths))
        with torch.no_grad():
            features, n_frames = self.encoder.features(waves, self.encoder.sample_rate_hz, lengths)
            clean, mask = features, None
            if generator is not None:
                hop_s = self.encoder.config.front_end.hop_s
                features = mask_features(features, n_frames, self.augment, generator, hop_s)
                if self.terms.masked:
                    features, mask = self._hide(features, n_frames, generator)
        frames, n_frames = self.encoder.frames(features, n_frames)
        out = self._with_heads(self.encoder.embed(frames, n_frames, features))
        if mask is not None:
            codes = masked.quantise(clean, self.encoder.stride, self.quantiser, self.codebook)
            out.masked_loss, out.masked_count = masked.masked_prediction(self.codes(frames), codes, mask)
        return out

    def _with_heads(self, embedding: Tensor) -> Outputs:
        """Run the heads on embeddings (2n, dim)."""
        out = Outputs(self.projector(embedding))
        if self.predictor is not None:
            out.prediction = self.predictor(out.projection)
        if self.last_layer is not None:
            out.logits = self.last_layer(F.normalize(out.projection, dim=1))
        return out

    def _hide(self, features: Tensor, n_frames: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Mask spans of mel frames (batch, frames, mels); also return which contextual frames are hidden completely."""
        stride = self.encoder.stride
        frames = features.shape[1]
        # Spans begin and end at the edges of contextual frames, so that none is partly hidden.
        size = -(-frames // stride)
        span = max(1, round(self.terms.mask_span / stride))
        start = 1 - (1 - self.terms.mask_start) ** stride
        whole = torch.div(n_frames, stride, rounding_mode="floor")
        hidden = masked.mask_spans(whole, size, start, span, generator)
        mask = hidden.repeat_interleave(stride, dim=1)[:, :frames]
        return masked.apply_mask(features, mask, generator), hidden
