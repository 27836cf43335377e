"""Open a file's audio with FFmpeg, from the file's bytes alone.

No other file is read and no address is contacted, whatever the bytes say: only the containers in `formats` are opened,
only audio is decoded, and anything that would open something else is refused.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import av
from av.codec.codec import UnknownCodecError

from pipeline.sound import formats
from pipeline.sound.stretch import Stretch
from pipeline.store.errors import Problem


def _audio_decoders() -> Iterator[str]:
    for name in av.codec.codecs_available:
        with contextlib.suppress(UnknownCodecError):  # this codec can only encode
            if av.Codec(name, "r").type == "audio":
                yield name


_ONLY_AUDIO = {
    "format_whitelist": ",".join(sorted(formats.CONTAINERS)),
    "protocol_whitelist": "none",
    "codec_whitelist": ",".join(sorted(_audio_decoders())),
}


def opened(file: Stretch) -> Any:
    """Return a file's container, opened.

    Raises:
        Problem: `decode`; the file is not audio, or of an unsupported kind.
    """
    try:
        return av.open(file, metadata_errors="replace", container_options=_ONLY_AUDIO, io_open=_no_other_file)
    except av.FFmpegError:
        raise not_audio(file) from None


def not_audio(file: Stretch) -> Problem:
    """Return the problem with a file that is not a recording."""
    what = formats.what_it_is(file.head(formats.HEAD_BYTES))
    return Problem(
        "decode",
        f"not audio: it is {what}" if what else "not audio, damaged beyond reading, or in an unsupported format",
    )


def _no_other_file(url: str, flags: int, options: dict[str, str]) -> Any:
    raise PermissionError(url)


def audio_stream(container: Any) -> Any:
    """Return the audio stream that FFmpeg prefers, or the first that can be decoded.

    Raises:
        Problem: `decode`; there is no such stream.
    """
    streams = list(container.streams.audio)
    if not streams:
        raise Problem("decode", "the file has no audio stream")
    found = next(
        (
            stream
            for stream in [container.streams.best("audio"), *streams]
            if stream is not None and stream.codec_context is not None
        ),
        None,
    )
    if found is None:
        raise Problem("decode", "there is no decoder for its audio: copy-protected, or of a rare kind")
    return found


def packets(container: Any, stream: Any) -> Iterator[Any]:
    """Yield a stream's packets as far as they can be read."""
    demuxed = container.demux(stream)
    while True:
        try:
            packet = next(demuxed)
        except (StopIteration, av.FFmpegError, IndexError):  # IndexError: from PyAV at the end, if streams appear late
            return
        if packet.size:
            yield packet


def promised_s(container: Any, stream: Any, n_bytes: int) -> float | None:
    """Return the length that a header states, or None if FFmpeg guessed it from the bit rate."""
    if stream.duration is not None:
        length_s = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        length_s = container.duration / av.time_base
    else:
        return None
    rate_bps = stream.codec_context.bit_rate
    guessed = rate_bps and abs(length_s - 8 * n_bytes / rate_bps) < 0.02 * length_s
    return None if guessed else length_s
