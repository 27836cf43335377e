"""How good, how fast and how frugal separation is: quality, vocal activity, speed, memory, cost of the engine.

    python -m jobs.bench.separate [--audio FOLDER] [--only quality activity spleeter demucs engine memory] [--scale X]

Prints Markdown. `quality` and `activity` need a folder of recordings (see `jobs.bench.measure`); the rest
renders its own music. Speeds are ratios within one run, on the same files and cores. Demucs has untrained weights here:
its speed is that of trained ones. `--scale 0.1` takes a tenth of the tracks and minutes.
"""

import argparse
import hashlib
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import soundfile
import torch

from jobs.bench import measure
from jobs.bench.quality import si_sdr
from jobs.bench.reference import plain_spleeter, save_htdemucs_repo
from jobs.bench.table import clock, header, row
from pipeline import separators
from pipeline.config import Config
from pipeline.demo.mix import perform
from pipeline.demo.singer import draw_singers
from pipeline.sections import Compute, SeparateConfig
from pipeline.stages.separate import SeparateWorker

RATE = 44100
TRACKS, SHORTEST_S, LONGEST_S = 20, 30, 240
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
    """Measure how often vocals are found in mixes, and in accompaniments."""
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


def render(folder: Path, lengths_s: Sequence[float] | np.ndarray, suffix: str = ".flac") -> list[Path]:
    """Write songs of the wanted lengths, one rendered song repeated."""
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
    """Return the lengths of the tracks that speed is measured on; a smaller scale has fewer and shorter ones."""
    return np.geomspace(SHORTEST_S * min(1.0, 2 * scale), LONGEST_S * max(scale, 0.2), max(2, round(TRACKS * scale)))


def speed_row(*name: object, spent: np.ndarray, base: np.ndarray, audio_s: float, more: str | None = None) -> None:
    """Print a row of a table of speeds: seconds and ratios, by the clock and of processor time."""
    row(
        *name,
        *(f"{s:.1f}" for s in spent),
        f"{audio_s / spent[0]:.1f}",
        *(f"{r:.2f}" for r in base / spent),
        *([] if more is None else [more]),
    )


SPEED = ("seconds", "CPU seconds", "times real time", "faster", "faster by CPU time")


def stage(folder: Path, paths: Sequence[Path], separator: str, precision: str) -> tuple[np.ndarray, pa.Table]:
    """Run a bare worker over files; returns its `clock`, the model's loading left out, and what it was given."""
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
    """Return files as rows for the worker."""
    return pa.Table.from_pylist(
        [{"track_id": hashlib.md5(path.name.encode()).hexdigest(), "uri": str(path)} for path in paths]
    )


def spleeter(audio: Path | None, scale: float, name: str) -> None:
    """Measure files to FLAC files against a plain loop over the published network."""
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
    """Return signal over difference in dB, scale apart, as demucs scales down what would clip; ours is mono."""
    expected, got = soundfile.read(theirs)[0].mean(1), soundfile.read(ours)[0]
    return si_sdr(got, expected)


def memory(audio: Path | None, scale: float, name: str) -> None:
    """Measure the peak resident memory of the worker and its decoder, for longer and longer mixes."""
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
    """Measure what the Ray stage costs over a bare worker in a loop, from the first finished track to the last."""
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
    """Run the parts that are asked for."""
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
