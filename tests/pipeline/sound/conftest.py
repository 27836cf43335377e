"""Small files of any format, written by FFmpeg's encoders."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest


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
