"""Snippets of vocals for the page: a few seconds each, as mono mp3, which all browsers play."""

import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
import soundfile

from pipeline.sound.audio import to_samples
from pipeline.store.spool import local_copy
from pipeline.store.workspace import Workspace

FADE_S = 0.03
PEAK = 0.7  # peak level of a snippet, ...
MAX_GAIN = 8.0  # ... unless that would amplify noise
LEAD_S = 0.25  # that a snippet starts before the voice
MP3 = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT"}
COMPRESSION = 0.9  # libsndfile's scale; 57 kbit/s for 44.1 kHz mono


def choose(points: pd.DataFrame, limit: int, asked: Sequence[str] = ()) -> pd.DataFrame:
    """Return the points to play: those that are `asked` about, then one of each vocalist in turn.

    The most frequent vocalists come first, each with the most certain track. Tracks that disagree with their artist tag
    come before the second turn, since people will want to hear them.
    """
    heard = points[points["vocals_uri"].notna()]
    counts = heard["vocalist"].map(heard["vocalist"].value_counts())
    order = heard.assign(count=counts.where(heard["vocalist"] != "", 0)).sort_values(
        ["count", "vocalist", "probability", "track_id"], ascending=[False, True, False, True]
    )
    turn = order.groupby("vocalist").cumcount()
    turn = turn.where(~order["disagrees"], turn.clip(upper=0.5)).where(order["vocalist"] != "", turn + 1)
    first = order["track_id"].map({track_id: i - len(asked) for i, track_id in enumerate(asked)})
    return order.loc[first.fillna(turn).sort_values(kind="stable").index[:limit]]


def encode(workspace: Workspace, chosen: pd.DataFrame, seconds: float) -> tuple[dict[str, bytes], int]:
    """Return the snippets (mp3) by track_id, and how many could not be read."""
    sounds: dict[str, bytes] = {}
    unheard = 0
    for row in chosen.itertuples():
        try:
            sounds[str(row.track_id)] = snippet(str(row.vocals_uri), float(row.start_s), seconds)
        except (OSError, soundfile.LibsndfileError):
            unheard += 1
    return sounds, unheard


def snippet(uri: str, start_s: float, seconds: float) -> bytes:
    """Return a part of a FLAC file of vocals as mono mp3, faded in and out.

    Raises:
        OSError: the file does not exist.
        soundfile.LibsndfileError: it cannot be decoded.
    """
    with local_copy(uri) as path, soundfile.SoundFile(path) as source:
        rate = source.samplerate
        start = to_samples(max(0.0, start_s - LEAD_S), rate)
        source.seek(max(0, min(start, source.frames - to_samples(seconds, rate))))
        samples = source.read(to_samples(seconds, rate), dtype="float32", always_2d=True).mean(1)
    samples *= min(MAX_GAIN, PEAK / max(float(np.abs(samples).max(initial=0.0)), 1e-6))
    fade = min(to_samples(FADE_S, rate), len(samples) // 2)
    if fade:
        ramp = np.linspace(0, 1, fade, dtype=np.float32)
        samples[:fade] *= ramp
        samples[-fade:] *= ramp[::-1]
    sink = io.BytesIO()
    with soundfile.SoundFile(sink, "w", rate, 1, compression_level=COMPRESSION, **MP3) as target:
        target.write(samples)
    return sink.getvalue()
