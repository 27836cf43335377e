"""Vocatlas's singer-identity encoder: `load("default")`, then `encoder(wave, sample_rate_hz)`."""

from encoder.checkpoint import load
from encoder.config import EncoderConfig
from encoder.model import Encoder

__all__ = ["Encoder", "EncoderConfig", "load"]
