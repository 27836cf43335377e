"""Run damaged and unusual files through scan and separate: generated mutations of real encoders' files.

    python -m jobs.bench.inputs [--n 1000] [--seed 0] [--audio FOLDER] [--keep FOLDER]

Sends the files of `jobs.bench.mutations` (and mutations of the files in `--audio`) through the workers of scan and
separate. Prints Markdown: the outcomes of the files, and counts that must be zero: tracebacks, `unexpected` errors,
files in no table or in two, files that took longer than `SLOW_S` and longer than they play. If the command `ffmpeg` is
installed, lengths are compared with what it decodes.
"""

import argparse
import collections
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from jobs.bench.mutations import generate, originals
from jobs.bench.table import clock, header, row
from pipeline.config import Config
from pipeline.sections import Compute, SeparateConfig
from pipeline.stages import scan, separate
from pipeline.store import tables
from pipeline.store.workspace import Workspace

SLOW_S = 30.0
TOLERANCE = 0.01  # of FFmpeg's length
MEMORY_GB = {"worker": 0.0, "decoder": 0.0}  # peaks so far


def run(workspace: Workspace, catalogue: Path) -> pd.DataFrame:
    """Scan and separate a folder; return a row per file: `ended` (in which tables), `error`, `message`, `seconds`."""
    config = Config(workspace=workspace.root, separate=SeparateConfig(separator="spleeter", compute=Compute(batch=8)))
    listing, _ = scan.list_catalogue(str(catalogue), tuple({path.suffix.lower() for path in catalogue.iterdir()}))
    scanned = _through(scan.ScanWorker(config.workspace), listing, 64)
    scan.derive_tracks(workspace, listing)
    todo, _ = separate.pending(workspace)
    separated = _through(separate.SeparateWorker(config.workspace, config.separate), todo, 8)
    files = tables.read(workspace, "files", ["uri", "track_id", "duration_s", "note"])
    kept = set(tables.read(workspace, "tracks", ["uri"])["uri"])
    vocals, failures = tables.read(workspace, "vocals"), tables.read(workspace, "failures")
    found = listing.select(["key", "uri"]).to_pandas().merge(files, on="uri", how="left")
    by_key = failures.set_index("key")
    rows = []
    for file in found.itertuples():
        keys = [key for key in (file.key, file.track_id) if key in by_key.index]
        ended = ["failures"] * len(failures[failures["key"].isin(keys)]) + ["vocals"] * int(
            (vocals["track_id"] == file.track_id).sum()
        )
        told = by_key.loc[keys[0]] if keys else None
        rows.append(
            {
                "uri": file.uri,
                "duration_s": file.duration_s,
                "note": file.note,
                "ended": ended,
                "duplicate": pd.notna(file.track_id) and file.uri not in kept,
                "error": None if told is None else told["error"],
                "message": None if told is None else told["message"],
                "seconds": max(scanned.get(file.key, 0.0), separated.get(file.track_id, 0.0)),
            }
        )
    return pd.DataFrame(rows)


def _through(worker: Any, rows: pa.Table, batch: int) -> dict[str, float]:
    """Send rows through a worker and return the seconds that each took; print exceptions, which are bugs."""
    seconds: dict[str, float] = {}
    for start in range(0, len(rows), batch):
        try:
            for outcome in worker(rows.slice(start, batch)).to_pylist():
                seconds[outcome["key"]] = outcome["seconds"]
        except Exception:
            print("TRACEBACK", traceback.format_exc(), flush=True)
        MEMORY_GB["worker"] = max(MEMORY_GB["worker"], _peak_gb("self"))
        if worker.decoder.process and worker.decoder.process.poll() is None:
            MEMORY_GB["decoder"] = max(MEMORY_GB["decoder"], _peak_gb(worker.decoder.process.pid))
    worker.decoder.close()
    return seconds


def _peak_gb(process: int | str) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**20


def ffmpeg_s(path: str) -> float:
    """Return how many seconds of a file's best audio stream the command `ffmpeg` decodes."""
    command = [
        "ffmpeg",
        "-nostdin",
        "-v",
        "error",
        "-protocol_whitelist",
        "file",
        "-i",
        path,
        "-map",
        "0:a:0",
        "-ac",
        "1",
        "-ar",
        "8000",
        "-f",
        "s16le",
        "-",
    ]
    try:
        return len(subprocess.run(command, capture_output=True, timeout=SLOW_S, check=False).stdout) / 16000
    except subprocess.TimeoutExpired:
        return float("nan")


def compare(found: pd.DataFrame) -> None:
    """Print where our lengths and FFmpeg's differ, and whether a note explains it."""
    theirs = pd.Series([ffmpeg_s(uri) for uri in found["uri"]], found.index)
    ours = found["duration_s"].fillna(0.0)
    heard, refused = theirs > 0.1, ours == 0
    less = heard & ~refused & (ours < (1 - TOLERANCE) * theirs - 0.02)
    more = heard & ~refused & (ours > (1 + TOLERANCE) * theirs + 0.02)
    header("Against FFmpeg's command", "files", "n")
    row("that it decodes", int(heard.sum()))
    row(f"of these as long within {TOLERANCE:.0%} and 0.02 s", int((heard & ~refused & ~less & ~more).sum()))
    differing = {"shorter": less, "longer": more, "refused": heard & refused}
    for name, which in differing.items():
        row(f"{name} in Vocatlas", int(which.sum()))
        row(f"{name}, with the reason", int((which & found["note"].fillna(found["message"]).notna()).sum()))
    row("that it does not decode, but Vocatlas does", int((~heard & ~refused).sum()))
    for name, which in differing.items():
        for i in found.index[which]:
            print(
                f"- {name}: {Path(found['uri'][i]).name}: {ours[i]:.2f} s, FFmpeg {theirs[i]:.2f} s; "
                f"{found['message'][i]}; {found['note'][i]}"
            )


def show(found: pd.DataFrame, seconds: float) -> None:
    """Print the outcomes of the files."""
    header("Outcomes", "outcome", "files")
    outcomes = collections.Counter(found["error"].fillna("a row of vocals"))
    for outcome, n in outcomes.most_common():
        row(outcome, n)
    placed = found["ended"].map(len)
    slow = found["seconds"] > found["duration_s"].fillna(0.0).clip(lower=SLOW_S)
    header("What must be zero, and what it cost", "", "")
    row("files in no table, or in two", int((placed != 1).sum()))
    row("`unexpected`", int((found["error"] == "unexpected").sum()))
    row(f"files that took over {SLOW_S:g} s and longer than they play", int(slow.sum()))
    row("messages without words", int(found["message"].str.contains("Traceback|Error:|^$", na=False).sum()))
    row("slowest file, s", f"{found['seconds'].max():.1f}")
    row("peak memory of the worker, of its decoder, GB", f"{MEMORY_GB['worker']:.2f} and {MEMORY_GB['decoder']:.2f}")
    row("duplicates", int(found["duplicate"].sum()))
    row("minutes", f"{seconds / 60:.1f}")
    odd = (placed != 1) | found["error"].isin(["unexpected", "crashed"]) | slow
    for file in found[odd].itertuples():
        print(f"- {Path(file.uri).name}: {file.ended} {file.error}: {file.message}; {file.seconds:.1f} s")


def main(argv: Sequence[str] | None = None) -> int:
    """Generate, run and print."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.inputs", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--n", type=int, default=1000, help="how many files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--audio", type=Path, help="a folder of further files to mutate")
    parser.add_argument("--keep", type=Path, help="folder in which to keep the files and the workspace")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        root = arguments.keep or Path(temporary)
        (root / "catalogue").mkdir(parents=True)
        generate(root / "catalogue", originals(arguments.audio), arguments.n, arguments.seed)
        started = clock()
        found = run(Workspace(root / "workspace"), root / "catalogue")
        show(found, (clock() - started)[0])
        if shutil.which("ffmpeg"):
            compare(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
