"""The log-mel front end: the encoder's first layer, and the only place where a spectrogram is computed.

Conventions: frames lie wholly inside the clip (no padding at its ends), so the number of frames depends on
the clip's own length alone, and a clip in a padded batch has the same frames as alone. Filters are Kaldi's
(triangles on the mel scale 1127 ln(1 + f/700)), so that networks trained on Kaldi features can be used.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor, nn
from torchaudio.compliance.kaldi import get_mel_banks

from encoder.config import FrontEndConfig

LOW_BINS = 32  # of the spectrum, that a frame's mean can reach through the window
LOG_FLOOR = 1.1920929e-07  # float32 epsilon, as Kaldi has it
VOICE_HZ = (300, 3400)  # the telephone's band: most of what tells voices and words apart
LOWEST_POWER = 1e-15  # digital silence stays finite


def valid_mask(lengths: Tensor, size: int) -> Tensor:
    """Which positions are real. lengths: (batch,) -> (batch, size) bool."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def resample(wave: Tensor, lengths: Tensor, from_hz: int, to_hz: int) -> tuple[Tensor, Tensor]:
    """Band-limited, differentiable resampling. wave: (batch, samples), silent after each clip's length."""
    if from_hz == to_hz:
        return wave, lengths
    wave = torchaudio.functional.resample(wave, from_hz, to_hz)
    lengths = torch.div(lengths * to_hz + from_hz - 1, from_hz, rounding_mode="floor")
    return wave * valid_mask(lengths, wave.shape[1]), lengths


def analysis_window(kind: str, samples: int) -> Tensor:
    """Hann, or Kaldi's `povey` (Hann to the power 0.85, symmetric)."""
    if kind == "hann":
        return torch.hann_window(samples)
    return torch.hann_window(samples, periodic=False) ** 0.85


def squared(parts: Tensor) -> Tensor:
    """Squared magnitude, without the root that `abs` takes. parts: (..., 2), real and imaginary -> (...)"""
    squares = parts.square()
    return squares[..., 0] + squares[..., 1]


class FrontEnd(nn.Module):
    """Waveform to log-mel frames, normalised per clip over its valid frames."""

    mel: Tensor
    window: Tensor
    window_low: Tensor

    def __init__(self, config: FrontEndConfig) -> None:
        super().__init__()
        self.config = config
        rate = config.sample_rate_hz
        self.window_samples = round(config.window_s * rate)
        self.hop_samples = round(config.hop_s * rate)
        self.fft_samples = 1 << (self.window_samples - 1).bit_length()
        banks, _ = get_mel_banks(
            config.n_mels, self.fft_samples, rate, config.low_hz, config.high_hz, 100.0, -500.0, 1.0
        )
        # Derived from the configuration, so not part of the saved weights.
        centres_hz = banks.argmax(1) * rate / self.fft_samples
        voiced = ((centres_hz >= VOICE_HZ[0]) & (centres_hz <= VOICE_HZ[1])).nonzero()
        if not len(voiced):
            band = f"{VOICE_HZ[0]}–{VOICE_HZ[1]} Hz"
            raise ValueError(f"none of {config.n_mels} mel bands is centred within {band}, where voices are")
        self.voice_bands = slice(int(voiced.min()), int(voiced.max()) + 1)
        self.top_bin = int(banks.any(0).nonzero().max()) + 1
        self.register_buffer("mel", banks.T[: self.top_bin].contiguous(), persistent=False)
        window = F.pad(analysis_window(config.window, self.window_samples), (0, self.fft_samples - self.window_samples))
        self.register_buffer("window", window, persistent=False)
        low = torch.view_as_real(torch.fft.rfft(window)[:LOW_BINS]).clone()
        self.register_buffer("window_low", low, persistent=False)

    def n_frames(self, lengths: Tensor) -> Tensor:
        """Frames of clips with so many samples (at the front end's rate)."""
        frames = torch.div(lengths - self.window_samples, self.hop_samples, rounding_mode="floor") + 1
        return frames.clamp(min=0)

    def mel_power(self, wave: Tensor) -> Tensor:
        """wave: (batch, samples) at the front end's rate -> (batch, frames, mels), power.

        As Kaldi: per frame the mean is removed, then each sample less a share of the one before. Both are linear
        and the window begins at zero, so it comes to the same to filter the whole wave first, and to take the
        mean's remainder out of the spectrum's lowest bins, where the window's transform has all its weight.
        """
        share = self.config.preemphasis
        emphasised = wave - share * F.pad(wave, (1, 0))[:, :-1]
        # The window is zero beyond its length: what the longer frames of the transform reach does not matter.
        padded = F.pad(emphasised, (0, self.fft_samples - self.window_samples))
        spectrum = torch.fft.rfft(padded.unfold(-1, self.fft_samples, self.hop_samples) * self.window)
        parts = torch.view_as_real(spectrum)
        mean = F.avg_pool1d(wave[:, None], self.window_samples, self.hop_samples)[:, 0]
        low = parts[..., :LOW_BINS, :] - (1 - share) * mean[..., None, None] * self.window_low
        high = parts[..., LOW_BINS : self.top_bin, :]
        return squared(low) @ self.mel[:LOW_BINS] + squared(high) @ self.mel[LOW_BINS:]

    def floor(self, power: Tensor, valid: Tensor) -> Tensor:
        """What counts as no power, per clip: with `floor_db` it moves with the clip's level. -> (batch, 1, 1)."""
        if self.config.floor_db is None:
            return power.new_tensor(LOG_FLOOR)
        mean = (power * valid).sum((1, 2), keepdim=True) / (valid.sum((1, 2), keepdim=True) * power.shape[2])
        return (mean * 10 ** (self.config.floor_db / 10)).clamp(min=LOWEST_POWER)

    def forward(self, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """wave: (batch, samples), lengths: (batch,) samples -> (batch, frames, mels), (batch,) frames.

        Padding frames are zero.
        """
        # autocast must stay off: a log of a half-precision power loses the quiet bands.
        with torch.autocast(wave.device.type, enabled=False):
            power = self.mel_power(wave.float())
        n_frames = self.n_frames(lengths)
        valid = valid_mask(n_frames, power.shape[1])[..., None]
        features = torch.maximum(power, self.floor(power, valid)).log()
        return normalise(features, valid, self.config.normalise), n_frames


def normalise(features: Tensor, valid: Tensor, kind: str) -> Tensor:
    """Bring a clip to mean zero over its valid frames, and but for `mean` to deviation one.

    features: (batch, frames, mels); valid: (batch, frames, 1) bool. `mean` and `mean_std` shift each band by its own
    mean, which takes away the colour of room and microphone, and with it the voice's own; `level` shifts all bands by
    one, and keeps both. One deviation for all bands, not one a band: it leaves a band-limited clip's empty bands small.
    """
    count = valid.sum(1, keepdim=True).clamp(min=1)
    mean = (features * valid).sum(1, keepdim=True) / count
    if kind == "level":
        mean = mean.mean(2, keepdim=True)
    features = (features - mean) * valid
    if kind != "mean":
        variance = features.square().sum((1, 2), keepdim=True) / (count * features.shape[2])
        features = features / (variance + 1e-4).sqrt()
    return features
