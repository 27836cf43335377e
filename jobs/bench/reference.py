"""References for benchmarks: a plain loop around Spleeter's network, and demucs models with untrained weights."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
import torch
import yaml
from demucs.htdemucs import HTDemucs
from torch.nn import functional

from pipeline.separators.spleeter import BINS, HOP, N_FFT, VOCALS, load_published
from pipeline.sound import audio

SOURCES = ("drums", "bass", "other", "vocals")
SEGMENT_FRAMES = 512


def plain_spleeter() -> Callable[[Path, Path], None]:
    """Return a function that separates one file into one FLAC file in the most straightforward way.

    It loads the whole file, calls the published networks (fp32) once on the track padded to whole segments, and writes.
    """
    nets = [load_published(name) for name in (VOCALS, VOCALS.replace("0", "1"))]
    window = torch.hann_window(N_FFT)

    @torch.inference_mode()
    def separate(path: Path, target: Path) -> None:
        loaded = audio.read(path, 44100, 2)
        spectrum = torch.stft(
            torch.from_numpy(loaded.samples), N_FFT, HOP, window=window, pad_mode="constant", return_complex=True
        )
        magnitude = spectrum[:, :BINS].abs()
        frames = magnitude.shape[-1]
        padded = functional.pad(magnitude, (0, -frames % SEGMENT_FRAMES))
        segments = padded.unflatten(2, (-1, SEGMENT_FRAMES)).permute(2, 0, 3, 1)
        voice, rest = (net(segments).square() for net in nets)
        mask = ((voice + 5e-11) / (voice + rest + 1e-10)).permute(1, 3, 0, 2).flatten(2)[..., :frames]
        masked = torch.zeros_like(spectrum)
        masked[:, :BINS] = spectrum[:, :BINS] * mask
        vocals = torch.istft(masked, N_FFT, HOP, window=window, length=loaded.samples.shape[1])
        soundfile.write(target, np.ascontiguousarray(vocals.mean(0).numpy()), 44100)

    return separate


def save_htdemucs_repo(folder: Path, names: tuple[str, ...] = ("htdemucs", "htdemucs_ft"), **smaller: int) -> None:
    """Write untrained models of the published shapes, 42 million weights each, in the layout of demucs' --repo.

    Args:
        smaller: settings of `HTDemucs` that differ from the published ones.
    """
    shape = {"segment": Fraction(39, 5), "bottom_channels": 512, "dconv_mode": 3} | smaller
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(4):
        torch.manual_seed(i)
        model = HTDemucs(list(SOURCES), **shape)
        args, kwargs = model._init_args_kwargs
        torch.save(
            {"klass": HTDemucs, "args": args, "kwargs": kwargs, "state": model.state_dict(), "training_args": {}},
            folder / f"part{i}.th",
        )
    bags: dict[str, dict] = {
        "htdemucs": {"models": ["part3"]},
        "htdemucs_ft": {
            "models": [f"part{i}" for i in range(4)],
            "weights": [[float(i == j) for j in range(4)] for i in range(4)],
        },
    }
    for name in names:
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(bags[name]))
