"""The log-mel front end: the encoder's first layer, and the only place where a spectrogram is computed.

Frames lie wholly inside the clip (its ends are not padded), so that their number depends on the clip's own length alone
and a clip has the same frames in a padded batch as alone. The filters are Kaldi's, triangles on the mel scale
1127 ln(1 + f / 700), so that networks trained on Kaldi's features can be used.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor, nn
from torchaudio.compliance.kaldi import get_mel_banks

from encoder.config import FrontEndConfig

LOW_BINS = 32  # of the spectrum that a frame's mean reaches through the window
LOG_FLOOR = 1.1920929e-07  # float32 epsilon, as Kaldi has it
VOICE_HZ = (300, 3400)  # telephone speech: most of what tells voices and words apart
LOWEST_POWER = 1e-15  # keeps the log of digital silence finite


def valid_mask(lengths: Tensor, size: int) -> Tensor:
    """Return which positions are real.

    Args:
        lengths: (batch,).
        size: number of positions.

    Returns:
        (batch, size) bool.
    """
    return torch.arange(size, device=lengths.device) < lengths[:, None]


@functools.lru_cache(maxsize=16)
def resampler(from_hz: int, to_hz: int, device: torch.device, dtype: torch.dtype) -> torchaudio.transforms.Resample:
    """Return a resampler with its filter computed; the few in use are kept."""
    # A filter made in inference mode could never be used where gradients are wanted.
    with torch.inference_mode(False):
        return torchaudio.transforms.Resample(from_hz, to_hz, dtype=dtype).to(device)


def resample(wave: Tensor, lengths: Tensor, from_hz: int, to_hz: int) -> tuple[Tensor, Tensor]:
    """Resample, band-limited and differentiable.

    Args:
        wave: (batch, samples), silent after each clip's length.
        lengths: (batch,) samples.
        from_hz: sample rate of `wave`.
        to_hz: sample rate that is wanted.

    Returns:
        Wave (batch, samples) and lengths (batch,) at the new rate.
    """
    if from_hz == to_hz:
        return wave, lengths
    # autocast must stay off: a filter in half precision leaves noise 50 dB below the voice.
    with torch.autocast(wave.device.type, enabled=False):
        wave = resampler(from_hz, to_hz, wave.device, wave.dtype)(wave)
    lengths = torch.div(lengths * to_hz + from_hz - 1, from_hz, rounding_mode="floor")
    return wave * valid_mask(lengths, wave.shape[1]), lengths


def analysis_window(kind: str, samples: int) -> Tensor:
    """Return a window (samples,): Hann, or Kaldi's `povey` (symmetric Hann to the power 0.85)."""
    if kind == "hann":
        return torch.hann_window(samples)
    return torch.hann_window(samples, periodic=False) ** 0.85


def squared(parts: Tensor) -> Tensor:
    """Return squared magnitudes (...) of `parts` (..., 2), real and imaginary, without the root that `abs` takes."""
    squares = parts.square()
    return squares[..., 0] + squares[..., 1]


class FrontEnd(nn.Module):
    """From a waveform to log-mel frames, normalised for each clip over its real frames."""

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
        # The buffers follow from the configuration, so they are not part of the saved weights.
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
        """Return the number of frames (batch,) of clips of `lengths` (batch,) samples at the front end's rate."""
        frames = torch.div(lengths - self.window_samples, self.hop_samples, rounding_mode="floor") + 1
        return frames.clamp(min=0)

    def mel_power(self, wave: Tensor) -> Tensor:
        """Compute the power in each mel band.

        Kaldi removes each frame's mean and then subtracts from each sample a share of the one before (pre-emphasis).
        Both are linear and the window begins at zero, so filtering the whole wave first, and removing what remains of
        the mean from the lowest bins of the spectrum, where the window's transform has all its weight, is equivalent.

        Args:
            wave: (batch, samples) at the front end's rate.

        Returns:
            (batch, frames, mels).
        """
        share = self.config.preemphasis
        emphasised = wave - share * F.pad(wave, (1, 0))[:, :-1]
        # The window is zero beyond its length, so what the longer frames of the transform reach does not matter.
        padded = F.pad(emphasised, (0, self.fft_samples - self.window_samples))
        spectrum = torch.fft.rfft(padded.unfold(-1, self.fft_samples, self.hop_samples) * self.window)
        parts = torch.view_as_real(spectrum)
        mean = F.avg_pool1d(wave[:, None], self.window_samples, self.hop_samples)[:, 0]
        low = parts[..., :LOW_BINS, :] - (1 - share) * mean[..., None, None] * self.window_low
        high = parts[..., LOW_BINS : self.top_bin, :]
        return squared(low) @ self.mel[:LOW_BINS] + squared(high) @ self.mel[LOW_BINS:]

    def floor(self, power: Tensor, valid: Tensor) -> Tensor:
        """Return the lowest power that counts, for each clip; with `floor_db` it follows the clip's level.

        Args:
            power: (batch, frames, mels).
            valid: (batch, frames, 1) bool.

        Returns:
            (batch, 1, 1), or a scalar where it is the same for all.
        """
        if self.config.floor_db is None:
            return power.new_tensor(LOG_FLOOR)
        mean = (power * valid).sum((1, 2), keepdim=True) / (valid.sum((1, 2), keepdim=True) * power.shape[2])
        return (mean * 10 ** (self.config.floor_db / 10)).clamp(min=LOWEST_POWER)

    def forward(self, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute log-mel frames.

        Args:
            wave: (batch, samples) at the front end's rate.
            lengths: (batch,) samples.

        Returns:
            Log-mel (batch, frames, mels), zero where padded, and the number of frames of each clip (batch,).
        """
        # autocast must stay off: the log of a power in half precision loses the quiet bands.
        with torch.autocast(wave.device.type, enabled=False):
            power = self.mel_power(wave.float())
        n_frames = self.n_frames(lengths)
        valid = valid_mask(n_frames, power.shape[1])[..., None]
        features = torch.maximum(power, self.floor(power, valid)).log()
        return normalise(features, valid, self.config.normalise), n_frames


def normalise(features: Tensor, valid: Tensor, kind: str) -> Tensor:
    """Bring each clip to zero mean over its real frames and, except for `mean`, to unit standard deviation.

    `mean` and `mean_std` subtract each band's own mean, which removes the colour of room and microphone and with it
    that of the voice; `level` subtracts one mean for all bands and keeps both. There is one standard deviation for all
    bands rather than one for each, so that the empty bands of a band-limited clip stay small.

    Args:
        features: (batch, frames, mels).
        valid: (batch, frames, 1) bool.
        kind: `mean`, `mean_std` or `level`.

    Returns:
        (batch, frames, mels), zero where padded.
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
