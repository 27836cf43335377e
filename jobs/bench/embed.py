"""How fast audio files become vectors: the `default` encoder, against GE2E and CAM++ as their packages run them.

    python -m jobs.bench.embed --audio FOLDER [--files 40] [--repeats 3]

All on the same files and cores, in turns; a ratio is the median over the turns. Prints Markdown. Needs the `baselines`
extra. "Heard" is the share of the audio that reaches a network: both packages leave out what their voice activity
detection takes for silence. `jobs.bench.embedders` says what is compared.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from jobs.bench import embedders, roofline
from jobs.bench.embedders import BASELINES, BLOCK_S, RATE_HZ, TOGETHER, Method, blocks_of, stage_embedder
from jobs.bench.table import clock
from pipeline.evaluate.baselines import Unavailable
from pipeline.sections import AUDIO_SUFFIXES
from pipeline.sound.probe import probe


def files_in(folder: Path, most: int) -> list[Path]:
    """Return up to `most` audio files of a folder, evenly spaced in it."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    return [found[i] for i in sorted({round(x) for x in np.linspace(0, len(found) - 1, min(most, len(found)))})]


def split(paths: Sequence[Path]) -> dict[str, float]:
    """Return the processor seconds of each part of our method, one after the other."""
    model, embedder = stage_embedder()
    seconds = dict.fromkeys(("decode and resample", "features", "network"), 0.0)
    started = clock()
    blocks = [block for _, block in blocks_of(paths, model.config.min_s)]
    seconds["decode and resample"] = float((clock() - started)[1])
    for start in range(0, len(blocks), TOGETHER):
        for _, waves, lengths in embedder.batches(blocks[start : start + TOGETHER]):
            with torch.inference_mode(), torch.autocast(embedder.device.type, torch.bfloat16, enabled=embedder.bf16):
                times = [clock()]
                features = model.features(waves, RATE_HZ, lengths)
                times.append(clock())
                model.embed(*model.frames(*features), features[0])
                times.append(clock())
            seconds["features"] += float((times[1] - times[0])[1])
            seconds["network"] += float((times[2] - times[1])[1])
    return seconds


def measure(
    paths: Sequence[Path], baselines: Sequence[str], repeats: int, threads: int
) -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
    """Return `(seconds, vectors, seconds heard)` of each method whose package is installed, and print which is not.

    Seconds are (repeats, 2): by the clock, and of processor time.
    """
    methods: dict[str, Method] = {"ours": embedders.ours(), "plain": embedders.plain()}
    for name in baselines:
        try:
            methods[name] = BASELINES[name]()
        except ImportError as error:
            print(f"{name} is left out: {error}; pip install .[baselines]\n", flush=True)
        except Unavailable as error:
            print(f"{name} is left out: {error}\n", flush=True)
    for method in methods.values():
        method(paths[:1])  # what is loaded and allocated at the first call does not count
    spent: dict[str, list[np.ndarray]] = {name: [] for name in methods}
    results = {}
    for _ in range(repeats):
        for name, method in methods.items():
            torch.set_num_threads(threads)
            started = clock()
            results[name] = method(paths)
            spent[name].append(clock() - started)
    return {name: (np.stack(spent[name]), *results[name]) for name in methods}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.embed", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--audio", type=Path, required=True, help="folder of audio files")
    parser.add_argument("--files", type=int, default=40, help="of the folder, evenly spaced (40)")
    parser.add_argument(
        "--against", nargs="*", choices=BASELINES, default=list(BASELINES), metavar="METHOD", help=", ".join(BASELINES)
    )
    parser.add_argument("--repeats", type=int, default=3, help="turns (3)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args(argv)
    paths = files_in(arguments.audio, arguments.files)
    if not paths:
        parser.error(f"{arguments.audio} holds no audio files")
    torch.set_num_threads(arguments.threads)
    total_s = sum(probe(path).duration_s for path in paths)
    found = measure(paths, arguments.against, arguments.repeats, arguments.threads)
    report(found, total_s, len(paths), arguments.threads)
    seconds = split(paths)
    print(
        "\nProcessor time of ours: "
        + ", ".join(f"{part} {s / sum(seconds.values()):.0%}" for part, s in seconds.items())
        + "."
    )
    model, _ = stage_embedder()
    block = torch.zeros(1, round(BLOCK_S * RATE_HZ)).uniform_(-0.1, 0.1)
    print("\n" + roofline.bounds(lambda: model(block, RATE_HZ), BLOCK_S))
    return 0


def report(found: dict[str, tuple[np.ndarray, np.ndarray, float]], total_s: float, files: int, threads: int) -> None:
    """Print the table and what follows from it."""
    mine, vectors, _ = found["ours"]
    print(
        f"| {files} files, {total_s / 60:.1f} min, {threads} threads | s of audio per s | per CPU s | heard "
        "| ours is faster | by CPU time |\n|---|---|---|---|---|---|"
    )
    for name, (spent, _, heard_s) in found.items():
        speed, faster = np.median(total_s / spent, axis=0), np.median(spent / mine, axis=0)
        print(
            f"| {name} | {speed[0]:.0f} | {speed[1]:.0f} | {heard_s / total_s:.0%} | {faster[0]:.2f} "
            f"| {faster[1]:.2f} |"
        )
    agreement = np.sum(vectors * found["plain"][1], axis=1).min()
    print(f"\nOurs agrees with plain: cosine at least {agreement:.5f}.")


if __name__ == "__main__":
    sys.exit(main())
