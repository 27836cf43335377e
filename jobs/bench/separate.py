"""Measure separation: quality, vocal activity, speed, memory, and the overhead of the engine.

    python -m jobs.bench.separate [--audio FOLDER] [--only quality activity spleeter demucs engine memory] [--scale X]

Prints Markdown. `quality` and `activity` need a folder of recordings (see `jobs.bench.measure`); the others render
their own music. Speeds are ratios within one run, on the same files and cores. Demucs has untrained weights here, which
are as fast as trained ones. `--scale 0.1` uses a tenth of the tracks and minutes.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jobs.bench import measure
from jobs.bench.separate_speed import batch_of, demucs, render, spleeter
from jobs.bench.table import clock, header, row
from pipeline import separators
from pipeline.config import Config
from pipeline.sections import Compute, SeparateConfig
from pipeline.stages.separate import SeparateWorker

MINUTES = (5, 60, 180)
ENGINE_TRACKS, ENGINE_TRACK_S = 48, 60


def quality(audio: Path | None, scale: float, name: str) -> None:
    """Measure SI-SDR and SDR of the separated voice, and SI-SDR of the mix itself."""
    if audio is None:
        return print("\nquality needs --audio", flush=True)
    separator = separators.load(name, separators.best_device())
    header(f"Quality of {name}, dB, median (worst)", "set", "songs", "SI-SDR of the mix", "SI-SDR", "SDR (BSS Eval)")
    for title in ("karaoke", "previews"):
        songs = measure.recordings(audio, title, max(1, round(1 / scale)))
        found = measure.quality(separator, (song for _, song in songs))
        middle, worst = np.median(found, axis=0), np.min(found, axis=0)
        row(title, len(found), *(f"{m:.2f} ({w:.2f})" for m, w in zip(middle, worst, strict=True)))


def activity(audio: Path | None, scale: float, name: str) -> None:
    """Measure how often vocals are found in mixes, and how often in accompaniments alone."""
    if audio is None:
        return print("\nactivity needs --audio", flush=True)
    separator = separators.load(name, separators.best_device())
    step = max(1, round(1 / scale))
    header(
        f"Vocal activity with {name}", "set", "songs", "found in mixes", "found in accompaniments", "balanced accuracy"
    )
    songs = list(measure.recordings(audio, "previews", step))
    for title, chosen in (
        ("previews the rule was chosen on", [s for name, s in songs if measure.chose_the_rule(name)]),
        ("previews held out", [s for name, s in songs if not measure.chose_the_rule(name)]),
        ("karaoke", (s for _, s in measure.recordings(audio, "karaoke", 3 * step))),
    ):
        mixes, alone = measure.activity(separator, chosen)
        row(title, len(mixes), mixes.sum(), alone.sum(), f"{(mixes.mean() + 1 - alone.mean()) / 2:.1%}")
    found = measure.whole_songs(separator, audio)
    row("whole songs", len(found), sum(found), "", "")


def memory(audio: Path | None, scale: float, name: str) -> None:
    """Measure the peak resident memory of the worker and its decoder, for mixes of increasing length."""
    header(
        "Memory, one mix, spleeter",
        "minutes",
        "model loaded, MB",
        "peak, MB",
        "above the model, MB",
        "decoder's peak, MB",
        "seconds",
    )
    with tempfile.TemporaryDirectory() as folder:
        for minutes in (minutes * scale for minutes in MINUTES):
            (path,) = render(Path(folder) / "music", [60 * minutes])
            context = multiprocessing.get_context("spawn")
            mine, theirs = context.Pipe()
            process = context.Process(target=_measure, args=(path, Path(folder) / f"workspace-{minutes}", theirs))
            process.start()
            loaded, peak, decoder, seconds = mine.recv()
            process.join()
            row(f"{minutes:g}", *(f"{n:.0f}" for n in (loaded, peak, peak - loaded, decoder, seconds)))


def _measure(path: Path, workspace: Path, sink: Any) -> None:
    worker = SeparateWorker(str(workspace), SeparateConfig(separator="spleeter"))
    loaded = _memory_mb("self", "VmRSS")
    started = clock()
    worker(batch_of([path]))
    seconds, _ = clock() - started
    sink.send((loaded, _memory_mb("self", "VmHWM"), _memory_mb(worker.decoder.process.pid, "VmHWM"), seconds))
    worker.decoder.close()


def _memory_mb(pid: object, field: str) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def engine(audio: Path | None, scale: float, name: str) -> None:
    """Measure the overhead of the Ray stage over a worker in a loop, from the first finished track to the last."""
    import contextlib
    import io

    from jobs import engine as ray_engine
    from jobs import separate as job
    from pipeline.store import tables
    from pipeline.store.workspace import Workspace

    header(
        f"The engine, spleeter, one worker, tracks of {ENGINE_TRACK_S} s",
        "way",
        "tracks",
        "first track after, s",
        "tracks per minute once running",
    )
    with tempfile.TemporaryDirectory() as folder:
        paths = render(Path(folder) / "music", [ENGINE_TRACK_S] * max(8, round(ENGINE_TRACKS * scale)))
        compute = Compute(cpus=torch.get_num_threads(), batch=4)
        speeds = []
        for way in ("bare loop", "Ray stage"):
            config = Config(
                workspace=f"{folder}/{way}",
                min_free_gb=0,
                separate=SeparateConfig(separator="spleeter", compute=compute),
            )
            started = time.time()
            if way == "bare loop":
                worker = SeparateWorker(config.workspace, config.separate)
                for start in range(0, len(paths), compute.batch):
                    worker(batch_of(paths[start : start + compute.batch]))
            else:
                tables.replace(Workspace(config.workspace), "tracks", batch_of(paths))
                with contextlib.redirect_stdout(io.StringIO()):
                    ray_engine.execute(job.STAGE, config)
            ends = sorted(path.stat().st_mtime for path in Path(config.workspace, "vocals_audio").rglob("*.flac"))
            speeds.append(60 * (len(ends) - 1) / (ends[-1] - ends[0]))
            row(way, len(ends), f"{ends[0] - started:.1f}", f"{speeds[-1]:.1f}")
        row("lost to the engine", "", "", f"{1 - speeds[1] / speeds[0]:.1%}")


PARTS: dict[str, Callable[[Path | None, float, str], None]] = {
    "quality": quality,
    "activity": activity,
    "spleeter": spleeter,
    "demucs": demucs,
    "engine": engine,
    "memory": memory,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the requested parts."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.separate", description=__doc__.split("\n\n")[0])
    parser.add_argument("--audio", type=Path, help="folder with karaoke/, previews/ and songs/")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--scale", type=float, default=1.0, help="share of the tracks and minutes")
    parser.add_argument("--separator", default="spleeter", help="whose quality and activity to measure")
    arguments = parser.parse_args(argv)
    for part in arguments.only:
        PARTS[part](arguments.audio, arguments.scale, arguments.separator)
    return 0


if __name__ == "__main__":
    sys.exit(main())
