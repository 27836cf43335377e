"""Measure separation, embedding and training on one GPU against plain loops, and whether 16 bit agrees with 32.

    python -m jobs.bench.gpu [--only separation embedding training] [--minutes 20]

Prints Markdown, within 8 minutes on a GPU; without one, it says so. The music is rendered and in memory. Demucs and the
encoder that is trained have untrained weights, which are as fast as trained ones. Everything runs once before it is
timed. The plain loops are

- separation: `demucs.apply.apply_model`, track by track in float32, as `python -m demucs --shifts 0` does
- embedding: the encoder itself, clip by clip in float32
- training: the baseline of `jobs.bench.train`, which needs the `bench` extra
"""

import argparse
import functools
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from demucs.apply import apply_model

import encoder
from jobs.bench import train
from jobs.bench.quality import si_sdr
from jobs.bench.reference import save_htdemucs_repo
from jobs.bench.table import clock, header, row
from pipeline import separators
from pipeline.demo.mix import perform
from pipeline.demo.singer import draw_singers
from pipeline.separators import Level, Precision, Separator
from pipeline.separators.hub import load_demucs
from pipeline.sound.audio import Audio
from pipeline.stages.embed import Embedder

RATE_HZ, TRACK_S, SONG_S, CLIP_S = 44100, 60.0, 20.0, 10.0
BATCH_S = 1600.0  # of clips in one pass, as in configs/ray-cluster.yaml
GPU_BATCH, CPU_BATCH = 128, 4  # clips in a step of training
AGREE_DB, AGREE_COSINE = 40.0, 0.999
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")  # the last on a GPU alone
SPEED = ("way", "seconds of audio a second", "times the plain loop", "GPU memory, MB")
Result = TypeVar("Result")


def tracks(minutes: float) -> list[torch.Tensor]:
    """Return pieces (2, n) of a rendered song, each `TRACK_S` long or shorter, of `minutes` in total."""
    generator = np.random.default_rng(0)
    song = torch.from_numpy(perform(draw_singers(["ann"], generator), SONG_S, "strings", RATE_HZ, generator).mix)
    n = round(min(TRACK_S, 60 * minutes) * RATE_HZ)
    long = song.repeat(1, n // song.shape[1] + 1)
    return [long.roll(1000 * i, dims=1)[:, :n].contiguous() for i in range(max(1, round(60 * minutes / TRACK_S)))]


def timed(device: torch.device, work: Callable[[], Result]) -> tuple[Result, float, str]:
    """Do the work twice; return its result, the seconds that the second time took, and the peak of GPU memory."""
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    began = clock()
    found = work()
    if device.type != "cuda":
        return found, float((clock() - began)[0]), "–"
    torch.cuda.synchronize()
    return found, float((clock() - began)[0]), f"{torch.cuda.max_memory_allocated() / 1e6:.0f}"


def verdict(value: float, least: float) -> str:
    """Return in words whether 16 bit agrees well enough with 32 bit."""
    return "as it should" if value >= least else f"MISSED: {least:g} or more is required"


def separation(device: torch.device, minutes: float, **smaller: int) -> None:
    """Measure HTDemucs in each precision against demucs' own loop; `smaller` are settings of its network for a test."""
    mixes = tracks(minutes)
    audio_s = sum(mix.shape[1] for mix in mixes) / RATE_HZ
    header(f"Separation, htdemucs, {audio_s / 60:.1f} min", *SPEED, "agreement with fp32, dB", "")
    with tempfile.TemporaryDirectory() as folder:
        save_htdemucs_repo(Path(folder), ("htdemucs",), **smaller)
        name = f"{folder}/htdemucs"
        model = load_demucs(name)
        _, plain_s, peak = timed(device, lambda: plain_demucs(model, mixes, device))
        row("plain loop, fp32", f"{audio_s / plain_s:.0f}", "1.0", peak, "", "")
        exact: list[np.ndarray] = []
        for precision in PRECISIONS[: 3 if device.type == "cuda" else 2]:
            separator = separators.load(name, str(device), precision)
            vocals, spent_s, peak = timed(device, functools.partial(all_vocals, separator, mixes))
            exact = exact or vocals
            agreement = min(si_sdr(got, expected) for got, expected in zip(vocals, exact, strict=True))
            said = verdict(agreement, AGREE_DB) if precision != "fp32" else ""
            row(
                f"ours, {precision}",
                f"{audio_s / spent_s:.0f}",
                f"{plain_s / spent_s:.1f}",
                peak,
                f"{agreement:.1f}",
                said,
            )


def plain_demucs(model: Any, mixes: Sequence[torch.Tensor], device: torch.device) -> list[np.ndarray]:
    """Return the vocals of each mix, (n,) mono, track by track as demucs' command makes them."""
    found = []
    for mix in mixes:
        mono = mix.mean(0)
        fed = (mix - mono.mean()) / mono.std()
        sources = apply_model(model, fed[None], device=device, shifts=0, overlap=0.25)[0]
        vocals = sources[list(model.sources).index("vocals")] * mono.std() + mono.mean()
        found.append(vocals.mean(0).cpu().numpy())
    return found


def all_vocals(separator: Separator, mixes: Sequence[torch.Tensor]) -> list[np.ndarray]:
    """Return the vocals of each mix, (n,) mono, their segments stacked across tracks as in the stage."""
    pieces: list[list[np.ndarray]] = [[] for _ in mixes]
    sources = ((i, Level.of([mix]), [mix]) for i, mix in enumerate(mixes))
    for piece in separators.separate_tracks(separator, sources):
        if piece.error:
            raise piece.error
        if piece.vocals is not None:
            pieces[int(str(piece.key))].append(piece.vocals.mean(0).numpy())
    return [np.concatenate(found) for found in pieces]


def embedding(device: torch.device, minutes: float) -> None:
    """Measure the default encoder in the embed stage's batches against clip by clip."""
    n = round(CLIP_S * RATE_HZ)
    clips = [
        Audio(mix[:1, at : at + n].numpy(), RATE_HZ)
        for mix in tracks(minutes)
        for at in range(0, mix.shape[1] - n + 1, n)
    ]
    audio_s = CLIP_S * len(clips)
    header(f"Embedding, `default`, {len(clips)} clips of {CLIP_S:g} s", *SPEED, "least cosine with the plain loop", "")
    model = encoder.load("default").to(device)

    @torch.inference_mode()
    def plain() -> np.ndarray:
        return np.concatenate([model(torch.from_numpy(c.samples).to(device), RATE_HZ).cpu().numpy() for c in clips])

    exact, plain_s, peak = timed(device, plain)
    row("plain loop, fp32", f"{audio_s / plain_s:.0f}", "1.0", peak, "", "")
    for name, bf16 in (("ours, fp32", False), ("ours, bf16", True)):
        embedder = Embedder(model, BATCH_S, bf16)
        embedder.bf16 = bf16  # on a processor that would emulate it, too
        vectors, spent_s, peak = timed(device, functools.partial(embedder, clips))
        cosine = float(np.sum(vectors * exact, axis=1).min())
        said = verdict(cosine, AGREE_COSINE)
        row(name, f"{audio_s / spent_s:.0f}", f"{plain_s / spent_s:.1f}", peak, f"{cosine:.5f}", said)


def training(device: torch.device, minutes: float) -> None:
    """Measure training steps of the `small` encoder against a common baseline; `minutes` does not matter."""
    batch = GPU_BATCH if device.type == "cuda" else CPU_BATCH
    header(
        f"Training, two crops of {train.CROP_S:g} s a clip, batches of {batch}",
        "method",
        "seconds of audio a second",
        "",
    )
    with tempfile.TemporaryDirectory() as folder:
        train.write_shard(train.clips_of(None), Path(folder))
        rate, shares = train.ours(Path(folder), device, batch)
        row(
            "ours",
            f"{2 * train.CROP_S * rate:.0f}",
            ", ".join(f"{phase} {share:.0%}" for phase, share in shares.items()),
        )
        try:
            usual = train.usual(Path(folder), torch.get_num_threads(), device, batch)
        except ImportError as error:
            return row("usual", "", f"left out: {error}; pip install .[bench]")
        row("usual", f"{2 * train.CROP_S * usual:.0f}", f"ours is {rate / usual:.1f} times as fast")


PARTS: dict[str, Callable[[torch.device, float], None]] = {
    "separation": separation,
    "embedding": embedding,
    "training": training,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the requested parts; return 2 if there is no GPU."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.gpu", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--minutes", type=float, default=20.0, help="of music (20)")
    arguments = parser.parse_args(argv)
    if not torch.cuda.is_available():
        print("error: this machine has no GPU that PyTorch can use, and nothing was measured", file=sys.stderr)
        return 2
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}", flush=True)
    for part in arguments.only:
        PARTS[part](torch.device("cuda"), arguments.minutes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
