"""A small set of recordings, and how it is embedded."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import soundfile

from pipeline.evaluate import adapters, datasets, embedding, vectors

RATE_HZ = 16000
SETTINGS = {"crop_s": 1.0, "crops_per_recording": 3, "sample_rate_hz": RATE_HZ}


def sung(f0_hz: float, seconds: float = 4.0) -> np.ndarray:
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (0.1 * sum(np.sin(2 * np.pi * f0_hz * k * time_s) / k for k in range(1, 9))).astype(np.float32)


def make_set(root: Path) -> None:
    """Write a song each by two singers, with the accompaniment and the voice in two channels."""
    for number, name in enumerate(("ann/a.wav", "bob/b.wav")):
        (root / name).parent.mkdir(parents=True)
        soundfile.write(root / name, np.stack([0.5 * sung(97), sung(200 + 80 * number)], 1), RATE_HZ)


def keyed(root: Path, config) -> list:
    found = datasets.read("karaoke", root)
    return [(vectors.recording_key(recording, config.evaluate), recording, None) for recording in found]


def embed(config, workspace, root: Path, names: tuple[str, ...], encoders: tuple[str, ...] = ("mfcc",)) -> pa.Table:
    """Embed what is missing, and return the outcomes."""
    ids = {name: adapters.load(name).encoder_id for name in encoders}
    todo = vectors.pending(workspace, keyed(root, config), ids, names, config.evaluate)
    return embedding.Embedding(config.workspace, config.evaluate, {name: name for name in encoders})(todo)
