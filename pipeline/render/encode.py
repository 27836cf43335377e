"""Audio files of the formats people have, with their tags.

mp3, m4a and opus are FFmpeg's (PyAV), wav, flac and ogg libsndfile's, tags mutagen's. The suffix names the format.
"""

from pathlib import Path

import av
import mutagen
import numpy as np
import soundfile

from pipeline.audio import LAYOUTS, Audio, to_samples

# Encoder, sample format, and bits per second of a stereo file.
FFMPEG = {
    ".mp3": ("libmp3lame", "s16p", 160_000),
    ".m4a": ("aac", "fltp", 160_000),
    ".opus": ("libopus", "flt", 96_000),
}
SNDFILE = {".wav": ("WAV", "PCM"), ".flac": ("FLAC", "PCM"), ".ogg": ("OGG", "VORBIS")}
SUFFIXES = tuple(FFMPEG) + tuple(SNDFILE)


def write(path: Path, audio: Audio, bits: int = 16, tags: dict[str, str] | None = None) -> None:
    """Write a new audio file; `bits` is for wav and flac, `tags` (artist, title, album) for all but wav.

    Raises:
        ValueError: no such format, or samples beyond full scale, which a file would clip.
    """
    peak = float(np.abs(audio.samples).max(initial=0.0))
    if not peak <= 1.0:
        raise ValueError(f"{path.name}: samples reach {peak:.2f}, beyond full scale")
    if path.suffix in FFMPEG:
        _write_ffmpeg(path, audio)
    elif path.suffix in SNDFILE:
        _write_sndfile(path, audio, bits)
    else:
        raise ValueError(f"{path.name}: no encoder for {path.suffix!r}, only for {', '.join(SUFFIXES)}")
    if tags and path.suffix != ".wav":
        tag(path, tags)


def tag(path: Path, tags: dict[str, str]) -> None:
    """Set a file's tags and leave its audio as it is."""
    file = mutagen.File(path, easy=True)
    file.update(tags)
    file.save()


def _write_ffmpeg(path: Path, audio: Audio) -> None:
    codec, sample_format, bit_rate = FFMPEG[path.suffix]
    channels, size = audio.samples.shape
    samples = audio.samples.astype(np.float32)
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(codec, rate=audio.sample_rate_hz, layout=LAYOUTS[channels])
        assert isinstance(stream, av.AudioStream)
        stream.bit_rate = bit_rate * channels // 2
        stream.codec_context.thread_count = 1
        resampler = av.AudioResampler(format=sample_format, layout=LAYOUTS[channels], rate=audio.sample_rate_hz)
        block = to_samples(1.0, audio.sample_rate_hz)
        for start in range(0, size, block):
            piece = np.ascontiguousarray(samples[:, start : start + block])
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=LAYOUTS[channels])
            frame.sample_rate, frame.pts = audio.sample_rate_hz, start
            for converted in resampler.resample(frame):
                container.mux(stream.encode(converted))
        container.mux(stream.encode(None))


def _write_sndfile(path: Path, audio: Audio, bits: int) -> None:
    form, subtype = SNDFILE[path.suffix]
    subtype = f"{subtype}_{bits}" if subtype == "PCM" else subtype
    rate, block = audio.sample_rate_hz, to_samples(1.0, audio.sample_rate_hz)
    with soundfile.SoundFile(path, "w", rate, len(audio.samples), subtype, format=form) as file:
        # One second at a time: libsndfile's Vorbis encoder overflows its stack on long blocks.
        for start in range(0, audio.samples.shape[1], block):
            file.write(audio.samples[:, start : start + block].T)
