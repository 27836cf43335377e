"""Small recordings: tones, and files of any format, written by FFmpeg's encoders."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile


@pytest.fixture
def tone() -> Callable[..., np.ndarray]:
    """Return a function from seconds and rate to a tone, (samples, channels) float32."""

    def make(seconds: float, rate: int, channels: int = 1, hz: float = 440.0) -> np.ndarray:
        wave = 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)
        return np.tile(wave[:, None], (1, channels)).astype(np.float32)

    return make


@pytest.fixture
def song(tmp_path: Path, tone: Callable[..., np.ndarray]) -> Path:
    """Return a FLAC of three seconds at 44.1 kHz, stereo."""
    path = tmp_path / "song.flac"
    soundfile.write(path, tone(3.0, 44100, 2), 44100)
    return path


@pytest.fixture
def encoded(tmp_path: Path) -> Callable[..., bytes]:
    """Return a function from codec and format to the bytes of a file: a second of tone, another in each channel."""

    def encode(
        codec: str,
        container: str,
        rate: int = 48000,
        layout: str = "stereo",
        sample_format: str = "fltp",
        seconds: float = 1.0,
        **options: str,
    ) -> bytes:
        path = tmp_path / "encoded"
        with av.open(str(path), "w", format=container, options=options) as out:
            stream = out.add_stream(codec, rate=rate, layout=layout)
            stream.codec_context.format = sample_format
            channels = stream.layout.nb_channels
            hz = 330.0 * (1 + np.arange(channels))[:, None]
            wave = 0.4 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave.T.reshape(1, -1), np.float32), "flt", layout)
            frame.sample_rate = rate
            resampler = av.AudioResampler(sample_format, layout, rate, stream.codec_context.frame_size or 1024)
            for piece in [*resampler.resample(frame), *resampler.resample(None)]:
                out.mux(stream.encode(piece))
            out.mux(stream.encode(None))
        return path.read_bytes()

    return encode
