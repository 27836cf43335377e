"""The encoder: from a waveform to a unit vector that identifies the singer.

    wave -> resample -> log-mel -> stem -> transformer -> attentive statistics -> linear -> unit vector

A clip gives the same vector alone and in any padded batch (to 1e-5). Every step is differentiable, so that the encoder
can serve as an identity loss for singing synthesis.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from encoder.campplus import CamPlusStem
from encoder.config import EncoderConfig
from encoder.frontend import FrontEnd, resample, valid_mask
from encoder.layers import AttentiveStatistics, Block, ConvStem, being_exported, rotary_angles

LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 8000, 192000


class Encoder(nn.Module):
    """Singer-identity encoder, built from its configuration alone.

    Loudness does not matter: each clip is normalised by itself. Silence gives a finite unit vector without meaning,
    so leave silent clips out.

    Attributes:
        config: what the model was built from.
        encoder_id: identifies configuration and weights; two vectors with the same id come from the same network.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder_id = f"{config.size}-untrained"
        self.front_end = FrontEnd(config.front_end)
        self.stem: ConvStem | CamPlusStem = (
            CamPlusStem()
            if config.stem == "campplus"
            else ConvStem(config.front_end.n_mels, config.stem_channels, config.width)
        )
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.mlp_ratio, config.dropout) for _ in range(config.layers)
        )
        # CAM++ frames come out normalised, and must stay as they are while the blocks add nothing yet.
        self.norm = nn.LayerNorm(config.width) if config.stem == "conv" else nn.Identity()
        self.pool = AttentiveStatistics(config.width)
        self.head = nn.Linear(2 * config.width, config.dim)
        initialise(self)

    @property
    def dim(self) -> int:
        """Dimensions of an embedding."""
        return self.config.dim

    @property
    def sample_rate_hz(self) -> int:
        """The sample rate of the front end; audio at any other rate is resampled to it."""
        return self.config.front_end.sample_rate_hz

    @property
    def stride(self) -> int:
        """Mel frames per contextual frame."""
        return int(self.stem.stride)

    def forward(self, wave: Tensor, sample_rate_hz: int, lengths: Tensor | None = None) -> Tensor:
        """Embed a batch of clips.

        Args:
            wave: (batch, samples) float32, about [-1, 1].
            sample_rate_hz: of `wave`, 8 to 192 kHz.
            lengths: (batch,) samples of each clip, if they differ; what lies beyond is ignored.

        Returns:
            (batch, dim) float32, unit norm.

        Raises:
            ValueError: wrong shape or dtype, NaN or infinite samples, a clip shorter than `config.min_s`, or a sample
                rate out of range.
        """
        lengths = validate(wave, sample_rate_hz, lengths, self.config.min_s)
        features, n_frames = self.features(wave, sample_rate_hz, lengths)
        frames, n_frames = self.frames(features, n_frames)
        return self.embed(frames, n_frames, features)

    def features(self, wave: Tensor, sample_rate_hz: int, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the log-mel frames.

        Args:
            wave: (batch, samples) float32.
            sample_rate_hz: of `wave`.
            lengths: (batch,) samples.

        Returns:
            Log-mel (batch, frames, mels), zero where padded, and the number of frames of each clip (batch,).
        """
        wave = wave * valid_mask(lengths, wave.shape[1])
        wave, lengths = resample(wave, lengths, sample_rate_hz, self.sample_rate_hz)
        features, n_frames = self.front_end(wave, lengths)
        return features, n_frames

    def frames(self, features: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Compute contextual frames by stem and transformer.

        Args:
            features: (batch, frames, mels).
            n_frames: (batch,).

        Returns:
            Frames (batch, ceil(frames / stride), width), and their number for each clip (batch,).
        """
        x, n_frames = self.stem(features, n_frames)
        valid = valid_mask(n_frames, x.shape[1])
        angles = rotary_angles(x.shape[1], self.config.width // self.config.heads // 2, like=x)
        mask = None if on_cpu_and_all(valid) else valid
        for block in self.blocks:
            x = block(x, mask, angles)
        return self.norm(x), n_frames

    def embed(self, frames: Tensor, n_frames: Tensor, features: Tensor) -> Tensor:
        """Pool contextual frames, and bring the head's output to unit norm.

        Args:
            frames: (batch, frames, width), as `frames` gives them.
            n_frames: (batch,), likewise.
            features: (batch, mel frames, mels), the log-mel that they were computed from.

        Returns:
            (batch, dim) float32, unit norm.
        """
        return F.normalize(self.project(frames, n_frames, features).float(), dim=-1)

    def project(self, frames: Tensor, n_frames: Tensor, features: Tensor) -> Tensor:
        """Pool contextual frames and give the head's output before it is brought to unit norm; arguments as `embed`.

        Returns:
            (batch, dim).
        """
        pooled: Tensor = self.pool(frames, valid_mask(n_frames, frames.shape[1]), self.prior(features))
        projected: Tensor = self.head(pooled)
        return projected

    def prior(self, features: Tensor) -> Tensor:
        """Compute the log-weights of contextual frames in the pooling, before attention.

        A frame's weight is its level to the power `config.loudness`: a separator removes least of a voice where it is
        loud. The level is the geometric mean over the mel bands of telephone speech, read from the features; their
        normalisation shifts a clip's levels by a constant, which cancels out.

        Args:
            features: (batch, frames, mels).

        Returns:
            (batch, ceil(frames / stride)).
        """
        levels = features[:, :: self.stride, self.front_end.voice_bands].mean(-1)
        return self.config.loudness * levels


def on_cpu_and_all(valid: Tensor) -> bool:
    """Return whether there is no padding, where that is cheap to find out: attention without a mask is faster."""
    if being_exported():
        return False
    return valid.device.type == "cpu" and bool(valid.all())


def initialise(encoder: Encoder) -> None:
    """Initialise all weights: normal(0, 0.02) for linear maps, fan-in for convolutions, zero biases.

    The layers that write into the residual stream are scaled down by depth (GPT-2). Behind a CAM++ stem they start at
    zero, as does the attention of the pooling, so that training starts from CAM++ itself.
    """
    for module in encoder.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
        elif isinstance(module, nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d) and module.bias is not None:
            nn.init.zeros_(module.bias)
    residual_std = 0.0 if encoder.config.stem == "campplus" else 0.02 / math.sqrt(2 * max(1, len(encoder.blocks)))
    for block in encoder.blocks:
        assert isinstance(block, Block)
        nn.init.normal_(block.attention_out.weight, std=residual_std)
        nn.init.normal_(block.mlp_out.weight, std=residual_std)
    nn.init.zeros_(encoder.pool.score.weight)
    nn.init.xavier_uniform_(encoder.head.weight)


def validate(wave: Tensor, sample_rate_hz: int, lengths: Tensor | None, min_s: float) -> Tensor:
    """Check that a batch can be embedded.

    Args:
        wave: (batch, samples).
        sample_rate_hz: of `wave`.
        lengths: (batch,) samples, or None where all clips fill the batch.
        min_s: shortest clip, seconds.

    Returns:
        The clips' lengths (batch,), samples.

    Raises:
        ValueError: it cannot; the message says why.
    """
    if wave.ndim != 2 or wave.shape[0] == 0:
        raise ValueError(f"wave must be (batch, samples) with one clip or more, got shape {tuple(wave.shape)}")
    if not wave.is_floating_point():
        raise ValueError(f"wave must be floating point in [-1, 1], got {wave.dtype}")
    if not LOWEST_RATE_HZ <= sample_rate_hz <= HIGHEST_RATE_HZ:
        raise ValueError(f"sample_rate_hz {sample_rate_hz} is out of {LOWEST_RATE_HZ}–{HIGHEST_RATE_HZ}")
    if lengths is None:
        lengths = torch.full((wave.shape[0],), wave.shape[1], device=wave.device)
    if lengths.shape != wave.shape[:1]:
        raise ValueError(f"lengths must be ({wave.shape[0]},), got shape {tuple(lengths.shape)}")
    if bool((lengths > wave.shape[1]).any()):
        raise ValueError(f"a clip's length exceeds the {wave.shape[1]} samples of the batch")
    if bool((lengths < min_s * sample_rate_hz).any()):
        raise ValueError(
            f"a clip of {int(lengths.min()) / sample_rate_hz:.3f} s is shorter than the {min_s} s an embedding needs"
        )
    if not bool(torch.isfinite(wave).all()):
        raise ValueError("wave holds NaN or infinite samples")
    return lengths
