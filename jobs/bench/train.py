"""Measure the speed of training: this project's `small` encoder, and a common baseline on the same clips.

    python -m jobs.bench.train [--audio FOLDER]

The baseline is: audiomentations and a formant-preserving pitch shift by Praat, clip by clip in data-loader workers,
log-mel, an EfficientNet-B0 (torchvision), NT-Xent, AdamW, float32. Both get two 4 s crops of each clip, and whole steps
are timed. Prints Markdown. Needs the `bench` extra. Without a folder the clips are synthetic voices.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import soundfile
import torch
import torchaudio
from numpy.typing import NDArray
from torch import nn

from encoder.training.config import TrainConfig
from encoder.training.data import ClipShards
from encoder.training.log import PHASES
from encoder.training.objectives.contrastive import nt_xent
from encoder.training.trainer import Trainer
from jobs.bench.table import clock
from pipeline.sound import audio
from pipeline.store.parquet import parquet

RATE_HZ, CLIP_S, CROP_S = 44100, 9.0, 4.0
CLIPS, BATCH, WARM, TIMED = 48, 16, 2, 12  # warm-up and timed steps; in fewer, clips loaded ahead would count


def clips_of(folder: Path | None) -> list[NDArray[np.float32]]:
    """Return `CLIPS` mono clips, from a folder's recordings, or harmonics with a wavering pitch and a little noise."""
    n, found = audio.to_samples(CLIP_S, RATE_HZ), []
    for path in sorted(folder.rglob("*.*")) if folder else []:
        wave = audio.read(path, RATE_HZ, 1).samples[0]
        found += [wave[at : at + n] for at in range(0, len(wave) - n, n)]
        if len(found) >= CLIPS:
            return found[:CLIPS]
    rng, seconds = np.random.default_rng(0), np.arange(n) / RATE_HZ
    for _ in range(CLIPS - len(found)):
        pitch = rng.uniform(100, 300) * (1 + 0.03 * np.sin(2 * np.pi * 5 * seconds))
        phase = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
        wave = sum(np.sin(h * phase) / h for h in range(1, 20)) + 0.02 * rng.standard_normal(n)
        found.append((0.2 * wave).astype(np.float32))
    return found


def write_shard(clips: list[NDArray[np.float32]], folder: Path) -> None:
    """Write the clips as a shard, each as a track."""
    rows = []
    for i, wave in enumerate(clips):
        buffer = io.BytesIO()
        soundfile.write(buffer, wave, RATE_HZ, format="FLAC")
        rows.append(
            {
                "clip_id": f"{i}",
                "track_id": f"{i}",
                "start_s": 0.0,
                "end_s": CLIP_S,
                "sample_rate_hz": RATE_HZ,
                "audio": buffer.getvalue(),
            }
        )
    (folder / "clips.parquet").write_bytes(parquet(pa.Table.from_pylist(rows), row_group=16))


CPU = torch.device("cpu")


def ours(folder: Path, device: torch.device = CPU, batch: int = BATCH) -> tuple[float, dict[str, float]]:
    """Return clips per second of the `small` encoder, and the share of each phase of a step."""
    config = TrainConfig.model_validate(
        {
            "size": "small",
            "init": None,
            "batch": batch,
            "held_out": 0,
            "steps": WARM + TIMED,
            "views": {"crop_s": CROP_S},
        }
    )
    trainer = Trainer(config, ClipShards.open(folder), None, 0, 1, device)
    rows = [trainer.step(step, batches) for step, batches in trainer.batches()][WARM:]
    seconds = {phase: sum(row[f"{phase}_s"] for row in rows) for phase in PHASES}
    total = sum(seconds.values())
    return batch * len(rows) / total, {phase: part / total for phase, part in seconds.items()}


class UsualClips(torch.utils.data.Dataset):
    """Two augmented crops of each clip, made one by one."""

    def __init__(self, shards: ClipShards, batch: int):
        import audiomentations

        self.shards, self.batch = shards, batch
        self.augment = audiomentations.Compose(
            [
                audiomentations.AddGaussianSNR(10, 40, p=0.5),
                audiomentations.Gain(-12, 6, p=0.5),
                audiomentations.SevenBandParametricEQ(-6, 6, p=0.5),
                audiomentations.LowPassFilter(3400, 12000, p=0.5),
                audiomentations.TimeMask(0.0, 0.1, p=0.5),
            ]
        )

    def __len__(self) -> int:
        return self.batch * (WARM + TIMED)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, torch.Tensor]:
        views = []
        for start in (0.0, 1.0):
            wave, _ = self.shards.crop(place % len(self.shards), start, CROP_S)
            rng = np.random.default_rng([place, int(start)])
            if rng.random() < 0.5:
                wave = praat_shift(wave, float(rng.uniform(-3, 3)))
            views.append(torch.from_numpy(self.augment(wave, RATE_HZ).copy()))
        return views[0], views[1]


def praat_shift(wave: NDArray[np.float32], semitones: float) -> NDArray[np.float32]:
    """Shift pitch as Praat does, by overlap-add, which keeps the formants."""
    import parselmouth

    call: Any = parselmouth.praat.call
    sound = parselmouth.Sound(wave.astype(np.float64), RATE_HZ)
    manipulation = call(sound, "To Manipulation", 0.01, 75, 600)
    tier = call(manipulation, "Extract pitch tier")
    call(tier, "Multiply frequencies", 0, CLIP_S, 2 ** (semitones / 12))
    call([tier, manipulation], "Replace pitch tier")
    shifted = call(manipulation, "Get resynthesis (overlap-add)").values[0].astype(np.float32)
    return np.resize(shifted, len(wave))


def usual(folder: Path, workers: int, device: torch.device = CPU, batch: int = BATCH) -> float:
    """Return clips per second of the baseline."""
    import torchvision

    network = torchvision.models.efficientnet_b0(num_classes=192).to(device)
    mel = torchaudio.transforms.MelSpectrogram(RATE_HZ, 2048, win_length=1102, hop_length=441, n_mels=80).to(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-4)
    loader = torch.utils.data.DataLoader(UsualClips(ClipShards.open(folder), batch), batch, num_workers=workers)
    started, done = clock(), 0
    for number, (first, second) in enumerate(loader):
        features = (mel(torch.cat([first, second]).to(device)) + 1e-6).log()
        images = (features - features.mean()).div(features.std())[:, None].expand(-1, 3, -1, -1)
        vectors = nn.functional.normalize(network(images), dim=1)
        one, other = vectors.chunk(2)
        loss = nt_xent(one, other, torch.arange(len(first), device=device), 0.1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        done += len(first)
        if number + 1 == WARM:
            started, done = clock(), 0
    seconds, _ = clock() - started
    return done / seconds


def main(argv: Sequence[str] | None = None) -> int:
    """Time both and print a table."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.train", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--audio", type=Path, help="folder of recordings to take the clips from")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as temporary:
        write_shard(clips_of(arguments.audio), Path(temporary))
        rate, shares = ours(Path(temporary))
        theirs = usual(Path(temporary), arguments.threads)
    print(f"| training, two {CROP_S:g} s crops a clip, {arguments.threads} CPU threads | clips/s |\n|---|---|")
    print(f"| vocatlas `small` | {rate:.1f} |")
    print(f"| usual: audiomentations, Praat, EfficientNet-B0 | {theirs:.1f} |")
    print(
        f"\n{rate / theirs:.1f} times as fast. Share of a step: "
        + ", ".join(f"{phase} {share:.0%}" for phase, share in shares.items())
        + "."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
