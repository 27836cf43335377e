"""Measure the speed of separation on rendered music: the stage's worker, a plain loop, and `python -m demucs`."""

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import soundfile
import torch

from jobs.bench.quality import si_sdr
from jobs.bench.reference import plain_spleeter, save_htdemucs_repo
from jobs.bench.table import clock, header, row
from pipeline.demo.mix import perform
from pipeline.demo.singer import draw_singers
from pipeline.sections import SeparateConfig
from pipeline.stages.separate import SeparateWorker

RATE = 44100
TRACKS, SHORTEST_S, LONGEST_S = 20, 30, 240
SPEED = ("seconds", "CPU seconds", "times real time", "faster", "faster by CPU time")


def render(folder: Path, lengths_s: Sequence[float] | np.ndarray, suffix: str = ".flac") -> list[Path]:
    """Write songs of the given lengths, which all repeat one rendered song."""
    generator = np.random.default_rng(0)
    song = perform(draw_singers(["ann"], generator), 20.0, "strings", RATE, generator).mix.T
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i, length_s in enumerate(lengths_s):
        paths.append(folder / f"{i:03d}{suffix}")
        with soundfile.SoundFile(paths[-1], "w", RATE, 2) as file:
            left = round(length_s * RATE)
            while left > 0:
                file.write(np.roll(song, 1000 * i, axis=0)[:left])
                left -= len(song)
    return paths


def lengths_s(scale: float) -> np.ndarray:
    """Return the lengths of the tracks for measuring speed; a smaller scale has fewer and shorter ones."""
    return np.geomspace(SHORTEST_S * min(1.0, 2 * scale), LONGEST_S * max(scale, 0.2), max(2, round(TRACKS * scale)))


def speed_row(*name: object, spent: np.ndarray, base: np.ndarray, audio_s: float, more: str | None = None) -> None:
    """Print a row of a table of speeds: seconds and ratios, in wall-clock and in processor time."""
    row(
        *name,
        *(f"{s:.1f}" for s in spent),
        f"{audio_s / spent[0]:.1f}",
        *(f"{r:.2f}" for r in base / spent),
        *([] if more is None else [more]),
    )


def stage(folder: Path, paths: Sequence[Path], separator: str, precision: str) -> tuple[np.ndarray, pa.Table]:
    """Run a worker on files; return what it took by `clock`, without loading the model, and its input."""
    settings = SeparateConfig.model_validate({"separator": separator, "precision": precision})
    worker = SeparateWorker(str(folder), settings)
    batch = batch_of(paths)
    started = clock()
    outcomes = worker(batch)
    worker.decoder.close()
    spent = clock() - started
    assert set(outcomes["status"].to_pylist()) == {"done"}
    return spent, batch


def batch_of(paths: Sequence[Path]) -> pa.Table:
    """Return the rows that the worker gets for files."""
    return pa.Table.from_pylist(
        [{"track_id": hashlib.md5(path.name.encode()).hexdigest(), "uri": str(path)} for path in paths]
    )


def spleeter(audio: Path | None, scale: float, name: str) -> None:
    """Measure the stage, from files to FLAC files, against a plain loop over the published network."""
    with tempfile.TemporaryDirectory() as name_:
        folder = Path(name_)
        paths = render(folder / "music", lengths_s(scale))
        total_s = sum(soundfile.info(path).duration for path in paths)
        header(
            f"Spleeter, files to FLAC, {len(paths)} tracks, {total_s / 60:.0f} min, {torch.get_num_threads()} threads",
            "way",
            *SPEED,
        )
        loop = plain_spleeter()
        started = clock()
        for path in paths:
            loop(path, folder / "plain.flac")
        plain = clock() - started
        speed_row("plain loop", spent=plain, base=plain, audio_s=total_s)
        for precision in ("fp32", "auto"):
            spent, _ = stage(folder / f"workspace-{precision}", paths, "spleeter", precision)
            speed_row(f"stage, {precision}", spent=spent, base=plain, audio_s=total_s)


def demucs(audio: Path | None, scale: float, name: str) -> None:
    """Measure the stage against `python -m demucs --two-stems vocals`: HTDemucs, and a bag like htdemucs_ft."""
    with tempfile.TemporaryDirectory() as name_:
        folder = Path(name_)
        save_htdemucs_repo(folder / "repo")
        paths = render(folder / "music", lengths_s(scale), ".wav")
        header(
            f"Demucs on CPU, untrained, files to files, {torch.get_num_threads()} threads",
            "model",
            "tracks",
            "minutes",
            "way",
            *SPEED,
            "least agreement with the command line, dB",
        )
        for model, chosen in (("htdemucs", paths), ("htdemucs_ft", paths[:: max(1, len(paths) // 2)])):
            total_s = sum(soundfile.info(path).duration for path in chosen)
            started = clock()
            subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "demucs",
                    "--two-stems",
                    "vocals",
                    "--shifts",
                    "0",
                    "-d",
                    "cpu",
                    "-n",
                    model,
                    "--repo",
                    folder / "repo",
                    "-o",
                    folder / "cli",
                    "--float32",
                    *chosen,
                ],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            line = clock() - started
            what = (model, len(chosen), f"{total_s / 60:.1f}")
            speed_row(*what, "python -m demucs --two-stems vocals", spent=line, base=line, audio_s=total_s, more="")
            spent, batch = stage(folder / model, chosen, str(folder / "repo" / model), "auto")
            agreement = [
                _agreement_db(
                    folder / "cli" / model / path.stem / "vocals.wav",
                    folder / model / "vocals_audio" / key[:2] / f"{key}.flac",
                )
                for path, key in zip(chosen, batch["track_id"].to_pylist(), strict=True)
            ]
            speed_row(*what, "stage", spent=spent, base=line, audio_s=total_s, more=f"{min(agreement):.1f}")


def _agreement_db(theirs: Path, ours: Path) -> float:
    """Return the signal-to-difference ratio, dB, after scaling, since demucs scales clipping vocals down."""
    expected, got = soundfile.read(theirs)[0].mean(1), soundfile.read(ours)[0]
    return si_sdr(got, expected)
