"""Configuration of the encoder: what the model is.

An `EncoderConfig` alone builds the model; with `model.safetensors` beside it, it loads it. Every field is
explicit, nothing is derived from where or how the model is used.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Frozen(BaseModel):
    """Base of every configuration here: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FrontEndConfig(Frozen):
    """The log-mel layer: at which rate, through which window, over which band, how many frames a second."""

    sample_rate_hz: int = Field(default=44100, ge=8000, le=96000)
    window_s: float = Field(default=0.025, gt=0.005, le=0.1)
    hop_s: float = Field(default=0.010, gt=0.002, le=0.05)
    n_mels: int = Field(default=80, ge=8, le=256)
    low_hz: float = Field(default=50.0, ge=0)
    high_hz: float = Field(default=16000.0, gt=0)
    window: Literal["hann", "povey"] = "hann"
    preemphasis: float = Field(default=0.97, ge=0, lt=1)
    normalise: Literal["mean", "mean_std"] = "mean_std"

    @model_validator(mode="after")
    def _band_within_rate(self) -> FrontEndConfig:
        if not self.low_hz < self.high_hz <= self.sample_rate_hz / 2:
            raise ValueError(
                f"the band {self.low_hz}–{self.high_hz} Hz does not lie below half of {self.sample_rate_hz} Hz"
            )
        return self


class EncoderConfig(Frozen):
    """Front end, stem, transformer, pooling: the whole model. `size` only names the preset it came from."""

    size: Literal["tiny", "small", "base", "custom"] = "custom"
    front_end: FrontEndConfig = FrontEndConfig()
    stem: Literal["conv", "campplus"] = "conv"
    stem_channels: int = Field(default=32, ge=4)
    width: int = Field(default=256, ge=16)
    layers: int = Field(default=6, ge=0)
    heads: int = Field(default=4, ge=1)
    mlp_ratio: float = Field(default=4.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    dim: int = Field(default=192, ge=8)
    min_s: float = Field(default=0.2, ge=0.05)

    @model_validator(mode="after")
    def _heads_divide_width(self) -> EncoderConfig:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} is not an even multiple of {self.heads} heads")
        if self.stem == "campplus" and (self.front_end.n_mels != 80 or self.width != 512):
            raise ValueError("the CAM++ stem takes 80 mel bands and gives 512 channels: n_mels 80, width 512")
        return self


KALDI_16K = FrontEndConfig(sample_rate_hz=16000, low_hz=20.0, high_hz=8000.0, window="povey", normalise="mean")
"""The filter bank that CAM++ was trained on (Kaldi's defaults, 80 bands, mean-normalised per clip)."""


def campplus(layers: int = 2, heads: int = 8, mlp_ratio: float = 2.0) -> EncoderConfig:
    """CAM++'s trunk (`encoder.campplus.from_campplus` fills it) under so many transformer layers."""
    return EncoderConfig(
        front_end=KALDI_16K,
        stem="campplus",
        width=512,
        layers=layers,
        heads=heads,
        mlp_ratio=mlp_ratio,
        dim=192,
    )


def preset(size: Literal["tiny", "small", "base"]) -> EncoderConfig:
    """The three sizes: `tiny` for tests and the demo, `small` for CPUs, `base` for GPUs."""
    if size == "tiny":
        return EncoderConfig(size="tiny", stem_channels=8, width=64, layers=2, heads=2, mlp_ratio=2.0, dim=64)
    if size == "small":
        return EncoderConfig(size="small", stem_channels=32, width=256, layers=6, heads=4, dim=192)
    return EncoderConfig(size="base", stem_channels=64, width=512, layers=12, heads=8, dim=256)
