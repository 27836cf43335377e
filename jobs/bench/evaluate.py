"""Measure the speed of evaluation: scoring a million trials, and each baseline against its own package.

    python -m jobs.bench.evaluate [--audio FOLDER]

Prints Markdown. Without a folder of recordings the crops are noise, which takes the networks as long.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from jobs.bench import senko_features
from jobs.bench.table import clock
from pipeline.evaluate import adapters, baselines, trials
from pipeline.evaluate.tasks import Labelled, score
from pipeline.sections import EvaluateConfig
from pipeline.sound import audio

TRIALS, EMBEDDINGS, SINGERS, DIM = 1_000_000, 20_000, 500, 192
RATE_HZ = baselines.SPEECH_HZ
CROPS, CROP_S, SEGMENT_S = 32, 4.0, 1.4  # senko's own features are made for segments of up to 1.5 s


def million_trials(sink: "multiprocessing.connection.Connection") -> None:
    """Score a million trials in a separate process, and send seconds, CPU seconds and peak memory in bytes."""
    rng = np.random.default_rng(0)
    singer = np.arange(EMBEDDINGS) % SINGERS
    vectors = (rng.normal(size=(SINGERS, DIM))[singer] + 2 * rng.normal(size=(EMBEDDINGS, DIM))).astype(np.float32)
    names = np.array([f"s{i}" for i in singer])
    recording = np.array([f"r{i // 2}" for i in range(EMBEDDINGS)])
    data = Labelled(vectors, names, recording, recording)
    pairs = trials.make(names.tolist(), recording.tolist(), TRIALS)
    started = clock()
    found, _ = score(data, pairs, "similarity", EvaluateConfig(), 0)
    seconds, cpu_s = clock() - started
    sink.send((len(pairs), seconds, cpu_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, found[0].value))


def crops_of(folder: Path | None, seconds: float) -> list[NDArray[np.floating]]:
    """Return `CROPS` mono crops at 16 kHz from a folder's recordings, or of noise."""
    n = audio.to_samples(seconds, RATE_HZ)
    found: list[NDArray[np.floating]] = []
    for path in sorted(folder.rglob("*.ogg")) if folder else []:
        wave = audio.read(path, RATE_HZ, 1).samples[0]
        found += [wave[at : at + n] for at in range(0, len(wave) - n, n)]
        if len(found) >= CROPS:
            return found[:CROPS]
    rng = np.random.default_rng(0)
    return [0.1 * rng.standard_normal(n, dtype=np.float32) for _ in range(CROPS)]


def per_second(work: Callable[[], object], n: int) -> float:
    """Return items a second, the best of three."""
    took = []
    for _ in range(3):
        started = clock()
        work()
        took.append((clock() - started)[0])
    return n / min(took)


def own_ge2e(crops: list[NDArray[np.floating]]) -> Callable[[], object]:
    """Return the package's own method: one utterance after the other."""
    import resemblyzer

    model = resemblyzer.VoiceEncoder("cpu", verbose=False)
    return lambda: [model.embed_utterance(crop) for crop in crops]


def own_campplus(crops: list[NDArray[np.floating]], folder: Path) -> Callable[[], object]:
    """Return the package's own method: its feature library on segments of a file, then batches of 64.

    Raises:
        Unavailable: the library does not run on this processor.
    """
    senko_features.check()
    path = folder / "a.wav"
    soundfile.write(path, np.concatenate(crops), RATE_HZ, subtype="PCM_16")
    length_s = len(crops[0]) / RATE_HZ
    segments = np.arange(len(crops))[:, None] * length_s + [0, length_s]
    model = baselines.CamPlusPlus().model

    def work() -> torch.Tensor:
        features = senko_features.extract(path, segments)
        with torch.no_grad():
            return model(torch.from_numpy(features.reshape(len(crops), -1, features.shape[1])))

    return work


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.evaluate", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--audio", type=Path, help="folder of recordings; noise without")
    folder = parser.parse_args(argv).audio
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=million_trials, args=(theirs,))
    process.start()
    n, seconds, cpu_s, peak, eer = ours.recv()
    process.join()
    print(
        f"{n} trials over {EMBEDDINGS} embeddings of {DIM}, EER ({100 * eer:.1f} %), interval and minDCF: "
        f"{seconds:.2f} s ({cpu_s:.2f} s of CPU), peak {peak / 1e9:.2f} GB",
        flush=True,
    )
    print("\n| encoder | crops | ours, crops/s | its package, crops/s |\n| --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as work:
        for name, length_s in (("mfcc", CROP_S), ("ge2e", CROP_S), ("campplus", SEGMENT_S), ("campplus", CROP_S)):
            crops = crops_of(folder, length_s)
            try:
                adapter = adapters.load(name)
            except baselines.Unavailable as error:
                print(f"| {name} | {error} | | |", flush=True)
                continue
            its = "–"
            try:
                if name == "ge2e":
                    its = f"{per_second(own_ge2e(crops), len(crops)):.1f}"
                elif length_s == SEGMENT_S:
                    its = f"{per_second(own_campplus(crops, Path(work)), len(crops)):.1f}"
            except baselines.Unavailable as error:
                its = str(error)
            ours_rate = per_second(lambda: adapter.embed(crops, RATE_HZ), len(crops))  # noqa: B023 (called at once)
            print(f"| {name} | {len(crops)} of {length_s:g} s | {ours_rate:.1f} | {its} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
