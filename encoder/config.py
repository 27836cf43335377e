"""Configuration of the model.

An `EncoderConfig` is all it takes to build an encoder; together with `model.safetensors` it is all it takes to load
one. Every field is explicit; nothing depends on where or how the model is used.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from encoder.frozen import Frozen


class FrontEndConfig(Frozen):
    """The log-mel layer: sample rate, analysis window, frequency range and normalisation."""

    sample_rate_hz: int = Field(default=44100, ge=8000, le=96000)
    window_s: float = Field(default=0.040, gt=0.005, le=0.1)
    hop_s: float = Field(default=0.020, gt=0.002, le=0.05)
    n_mels: int = Field(default=80, ge=8, le=256)
    low_hz: float = Field(default=50.0, ge=0)
    high_hz: float = Field(default=16000.0, gt=0)
    window: Literal["hann", "povey"] = "hann"
    preemphasis: float = Field(default=0.97, ge=0, lt=1)
    floor_db: float | None = Field(default=-80.0, lt=0)  # relative to the clip's mean power; None: Kaldi's fixed floor
    normalise: Literal["mean", "mean_std", "level"] = "level"

    @model_validator(mode="after")
    def _band_within_rate(self) -> FrontEndConfig:
        if not self.low_hz < self.high_hz <= self.sample_rate_hz / 2:
            raise ValueError(
                f"the band {self.low_hz}–{self.high_hz} Hz does not lie below half of {self.sample_rate_hz} Hz"
            )
        return self


class EncoderConfig(Frozen):
    """The whole model: front end, stem, transformer, pooling, head. `size` only names the preset it came from."""

    size: Literal["tiny", "small", "base", "campplus", "custom"] = "custom"
    front_end: FrontEndConfig = FrontEndConfig()
    stem: Literal["conv", "campplus"] = "conv"
    stem_channels: int = Field(default=32, ge=4)
    width: int = Field(default=256, ge=16)
    layers: int = Field(default=6, ge=0)
    heads: int = Field(default=4, ge=1)
    mlp_ratio: float = Field(default=4.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    dim: int = Field(default=192, ge=8)
    loudness: float = Field(default=0.0, ge=0, description="exponent of a frame's level in its weight: Encoder.prior")
    min_s: float = Field(default=0.2, ge=0.05)

    @model_validator(mode="after")
    def _heads_divide_width(self) -> EncoderConfig:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} is not an even multiple of {self.heads} heads")
        if self.stem == "campplus" and (self.front_end.n_mels != 80 or self.width != 512):
            raise ValueError("the CAM++ stem takes 80 mel bands and gives 512 channels: n_mels 80, width 512")
        return self


KALDI_16K = FrontEndConfig(
    sample_rate_hz=16000,
    window_s=0.025,
    hop_s=0.010,
    low_hz=20.0,
    high_hz=8000.0,
    window="povey",
    floor_db=None,
    normalise="mean",
)
"""The filter bank that CAM++ was trained on: Kaldi's defaults, 80 bands, each band's mean over the clip removed."""


def campplus(layers: int = 2, heads: int = 8, mlp_ratio: float = 2.0, loudness: float = 0.0) -> EncoderConfig:
    """Return the trunk of CAM++ (`encoder.published` has its weights) with transformer layers on top."""
    return EncoderConfig(
        front_end=KALDI_16K,
        stem="campplus",
        width=512,
        layers=layers,
        heads=heads,
        mlp_ratio=mlp_ratio,
        dim=192,
        loudness=loudness,
    )


def preset(size: Literal["tiny", "small", "base"]) -> EncoderConfig:
    """Return one of the three sizes: `tiny` for tests and the demo, `small` for CPUs, `base` for GPUs."""
    if size == "tiny":
        return EncoderConfig(size="tiny", stem_channels=8, width=64, layers=2, heads=2, mlp_ratio=2.0, dim=64)
    if size == "small":
        return EncoderConfig(size="small", stem_channels=32, width=256, layers=6, heads=4, dim=192)
    return EncoderConfig(size="base", stem_channels=64, width=512, layers=12, heads=8, dim=256)
