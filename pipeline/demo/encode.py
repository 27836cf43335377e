"""Write audio files with tags, in common formats that the suffix names.

mp3, m4a and opus are encoded by FFmpeg (PyAV), wav, flac and ogg by libsndfile.
"""

from pathlib import Path

import av
import numpy as np
import soundfile

from pipeline.sound.audio import Audio, to_samples

# Encoder, sample format, and bits per second of a stereo file.
FFMPEG = {
    ".mp3": ("libmp3lame", "s16p", 160_000),
    ".m4a": ("aac", "fltp", 160_000),
    ".opus": ("libopus", "flt", 96_000),
}
SNDFILE = {".wav": ("WAV", "PCM"), ".flac": ("FLAC", "PCM"), ".ogg": ("OGG", "VORBIS")}
LAYOUTS = {1: "mono", 2: "stereo"}
SUFFIXES = tuple(FFMPEG) + tuple(SNDFILE)
TAGS = ("artist", "title", "album")
BITEXACT = {"fflags": "+bitexact"}  # no dates or random numbers in a file


def write(path: Path, audio: Audio, bits: int = 16, tags: dict[str, str] | None = None) -> None:
    """Write a new audio file; `bits` is for wav and flac, `tags` are any of `TAGS`.

    Raises:
        ValueError: the format or a tag is unknown, or samples exceed full scale and would be clipped.
    """
    peak = float(np.abs(audio.samples).max(initial=0.0))
    if not peak <= 1.0:
        raise ValueError(f"{path.name}: samples reach {peak:.2f}, beyond full scale")
    if unknown := set(tags or ()) - set(TAGS):
        raise ValueError(f"{path.name}: no tag {unknown.pop()!r}, only {', '.join(TAGS)}")
    if path.suffix in FFMPEG:
        _write_ffmpeg(path, audio, tags or {})
    elif path.suffix in SNDFILE:
        _write_sndfile(path, audio, bits, tags or {})
    else:
        raise ValueError(f"{path.name}: no encoder for {path.suffix!r}, only for {', '.join(SUFFIXES)}")


def copy_untagged(source: Path, path: Path) -> None:
    """Copy the compressed audio of a file, bit by bit, into another of the same format without its tags."""
    with av.open(str(source)) as old, av.open(str(path), "w", options=BITEXACT) as new:
        stream = new.add_stream_from_template(old.streams.audio[0])
        for packet in old.demux(old.streams.audio[0]):
            if packet.size:
                packet.stream = stream
                new.mux(packet)


def _write_ffmpeg(path: Path, audio: Audio, tags: dict[str, str]) -> None:
    codec, sample_format, bit_rate = FFMPEG[path.suffix]
    channels, size = audio.samples.shape
    layout = LAYOUTS[channels]
    with av.open(str(path), "w", options=BITEXACT) as container:
        container.metadata.update(tags)
        stream = container.add_stream(codec, rate=audio.sample_rate_hz, layout=layout)
        assert isinstance(stream, av.AudioStream)
        stream.bit_rate = bit_rate * channels // 2
        resampler = av.AudioResampler(format=sample_format, layout=layout, rate=audio.sample_rate_hz)
        block = to_samples(1.0, audio.sample_rate_hz)
        for start in range(0, size, block):
            piece = np.ascontiguousarray(audio.samples[:, start : start + block], dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
            frame.sample_rate, frame.pts = audio.sample_rate_hz, start
            for converted in resampler.resample(frame):
                container.mux(stream.encode(converted))
        container.mux(stream.encode(None))


def _write_sndfile(path: Path, audio: Audio, bits: int, tags: dict[str, str]) -> None:
    form, subtype = SNDFILE[path.suffix]
    subtype = f"{subtype}_{bits}" if subtype == "PCM" else subtype
    rate, block = audio.sample_rate_hz, to_samples(1.0, audio.sample_rate_hz)
    with soundfile.SoundFile(path, "w", rate, len(audio.samples), subtype, format=form) as file:
        for name, value in tags.items():
            setattr(file, name, value)
        # One second at a time: libsndfile's Vorbis encoder overflows its stack on long blocks.
        for start in range(0, audio.samples.shape[1], block):
            file.write(audio.samples[:, start : start + block].T)
