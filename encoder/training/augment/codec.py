"""Codecs: what an mp3 or ogg file does to a clip; on the CPU, one clip at a time, while batches are loaded."""

from __future__ import annotations

import io

import numpy as np
import soundfile
from numpy.typing import NDArray

FORMATS = {"mp3": ("MP3", "MPEG_LAYER_III"), "ogg": ("OGG", "VORBIS")}


def round_trip(wave: NDArray[np.float32], rate: int, codec: str, quality: float) -> NDArray[np.float32]:
    """Encode and decode a clip.

    Args:
        wave: (samples,) float32.
        rate: its sample rate in Hz, one that MP3 and Vorbis have (8 to 48 kHz).
        codec: one of FORMATS.
        quality: 0 (worst) to 1.

    Returns:
        (samples,) float32, as long as before and aligned to within a few samples.
    """
    container, subtype = FORMATS[codec]
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, rate, format=container, subtype=subtype, compression_level=1 - quality)
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    out = np.zeros_like(wave)
    length = min(len(wave), len(decoded))
    out[:length] = decoded[:length]
    return out
