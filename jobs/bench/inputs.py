"""What becomes of damaged and odd files: generated mutations of real encoders' files, scanned and separated.

    python -m jobs.bench.inputs [--n 1000] [--seed 0] [--audio FOLDER] [--keep FOLDER]

Renders a little of a song, encodes it in `ENCODINGS` (files of `--audio` are taken besides), mutates each in one of
`MUTATIONS`, and sends all through the workers of scan and separate. Prints Markdown: what became of the files and what
must be zero: tracebacks, `unexpected`, files in no table or in two, anything that took over `SLOW_S`. Where FFmpeg's
command is installed, lengths are compared with what it decodes. File `i` of a seed is the same in every run.
"""

import argparse
import collections
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pyarrow as pa
import soundfile

from jobs.bench.separate import header, row
from pipeline.config import Config
from pipeline.demo.mix import perform
from pipeline.demo.singer import draw_singers
from pipeline.sections import Compute, SeparateConfig
from pipeline.stages import scan, separate
from pipeline.store import tables
from pipeline.store.workspace import Workspace

RATE, LENGTH_S = 44100, 2.5
SLOW_S = 30.0
HEAD = 400  # bytes in which most of a container's numbers are
NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
TOLERANCE = 0.01  # of FFmpeg's length
MEMORY_GB = {"worker": 0.0, "decoder": 0.0}  # at their largest so far

# suffix: encoder, sample format, rate, layout, container
ENCODINGS = {
    "mp3": ("libmp3lame", "s16p", 44100, "stereo", "mp3"), "mono.mp3": ("libmp3lame", "s16p", 22050, "mono", "mp3"),
    "mp2": ("mp2", "s16", 48000, "stereo", "mp2"), "flac": ("flac", "s16", 44100, "stereo", "flac"),
    "24.flac": ("flac", "s32", 96000, "stereo", "flac"), "opus": ("libopus", "flt", 48000, "stereo", "ogg"),
    "mka": ("libopus", "flt", 48000, "mono", "matroska"), "webm": ("libopus", "flt", 48000, "stereo", "webm"),
    "m4a": ("aac", "fltp", 44100, "stereo", "ipod"), "alac.m4a": ("alac", "s16p", 44100, "stereo", "ipod"),
    "aac": ("aac", "fltp", 44100, "stereo", "adts"), "mov": ("aac", "fltp", 48000, "5.1", "mov"),
    "ac3": ("ac3", "fltp", 48000, "5.1", "ac3"), "eac3": ("eac3", "fltp", 48000, "stereo", "eac3"),
    "wma": ("wmav2", "fltp", 44100, "stereo", "asf"), "wv": ("wavpack", "s16p", 44100, "stereo", "wv"),
    "tta": ("tta", "s16", 44100, "stereo", "tta"), "amr": ("libopencore_amrnb", "s16", 8000, "mono", "amr"),
    "ts": ("aac", "fltp", 44100, "stereo", "mpegts"), "flv": ("libmp3lame", "s16p", 44100, "stereo", "flv"),
    "avi": ("libmp3lame", "s16p", 44100, "stereo", "avi"), "3gp": ("aac", "fltp", 44100, "mono", "3gp"),
    "mp4": ("ac3", "fltp", 48000, "stereo", "mp4"), "caf": ("pcm_s16be", "s16", 44100, "stereo", "caf"),
    "au": ("pcm_mulaw", "s16", 8000, "mono", "au"), "adpcm.wav": ("adpcm_ms", "s16", 22050, "stereo", "wav"),
}
SNDFILES = {
    "wav": ("WAV", "PCM_16"), "24.wav": ("WAV", "PCM_24"), "float.wav": ("WAV", "FLOAT"), "ogg": ("OGG", "VORBIS"),
    "aiff": ("AIFF", "PCM_16"), "8.aiff": ("AIFF", "PCM_S8"), "w64": ("W64", "PCM_16"), "voc": ("VOC", "PCM_16"),
    "rf64": ("RF64", "PCM_16"),
}

Mutation = Callable[[bytearray, bytes, np.random.Generator], bytes | bytearray]


def _place(data: bytes | bytearray, rng: np.random.Generator) -> int:
    return int(rng.integers(max(1, len(data))))


def _flip(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    for _ in range(int(rng.integers(1, 100))):
        data[_place(data, rng)] ^= 1 << int(rng.integers(8))
    return data


def _flip_head(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    for _ in range(int(rng.integers(1, 6))):
        data[int(rng.integers(min(HEAD, len(data))))] = int(rng.integers(256))
    return data


def _number(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    at, size = int(rng.integers(min(HEAD, len(data)))), int(rng.choice([2, 4, 8]))
    number = int(rng.choice(NUMBERS)) % 2 ** (8 * size)
    data[at : at + size] = number.to_bytes(size, str(rng.choice(["little", "big"])))
    return data


def _cut_short(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    return data[: _place(data, rng)]


def _cut_out(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    at = _place(data, rng)
    del data[at : at + int(rng.integers(1, 5000))]
    return data


def _zeros(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    at, n = _place(data, rng), int(rng.integers(1, 20_000))
    data[at : at + n] = bytes(len(data[at : at + n]))
    return data


def _junk(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    at = _place(data, rng) if rng.random() < 0.5 else 0
    data[at:at] = rng.bytes(int(rng.integers(1, 50_000)))
    return data


def _again(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    at = _place(data, rng)
    data[at:at] = data[_place(data, rng) :]
    return data


def _chained(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    return data + other


def _spliced(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    return data[: _place(data, rng)] + other[_place(other, rng) :]


def _tagged(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    n = int(rng.integers(10_000))
    return b"ID3\4\0\0" + bytes((n >> shift) & 0x7F for shift in (21, 14, 7, 0)) + rng.bytes(n) + data


def _as_it_is(data: bytearray, other: bytes, rng: np.random.Generator) -> bytes | bytearray:
    return data


MUTATIONS: dict[str, Mutation] = {
    "bits flipped": _flip, "head damaged": _flip_head, "head with odd numbers": _number, "cut short": _cut_short,
    "piece missing": _cut_out, "zeros inside": _zeros, "junk before or inside": _junk, "piece repeated": _again,
    "another file behind": _chained, "half another file": _spliced, "behind an ID3 tag": _tagged,
    "under another's name": _as_it_is}


def originals(folder: Path | None) -> list[tuple[str, bytes]]:
    """Return files to be mutated, as suffix and bytes: the encodings of a little song, and files of a folder."""
    generator = np.random.default_rng(2)
    song = perform(draw_singers(["ann"], generator), 12.0, "keys", RATE, generator).mix[:, 4 * RATE :]
    song = np.ascontiguousarray(song[:, : round(RATE * LENGTH_S)], np.float32)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "song"
        found = []
        for suffix, encoding in ENCODINGS.items():
            _encode(path, song, *encoding)
            found.append((suffix, path.read_bytes()))
        for suffix, (form, subtype) in SNDFILES.items():
            with soundfile.SoundFile(path, "w", RATE, 2, subtype, format=form) as file:
                file.write(song.T)
            found.append((suffix, path.read_bytes()))
    theirs = sorted(path for path in folder.rglob("*") if path.is_file()) if folder else []
    return found + [(path.name[-40:], path.read_bytes()) for path in theirs]


def _encode(path: Path, song: np.ndarray, codec: str, sample_format: str, rate_hz: int, layout: str,
            container: str) -> None:
    with av.open(str(path), "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=rate_hz, layout=layout)
        stream.codec_context.format = sample_format
        stream.bit_rate = 12_200 if codec == "libopencore_amrnb" else 128_000
        frame = av.AudioFrame.from_ndarray(song, format="fltp", layout="stereo")
        frame.sample_rate = RATE
        resampler = av.AudioResampler(sample_format, layout, rate_hz, stream.codec_context.frame_size or 1024)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))


def generate(folder: Path, files: Sequence[tuple[str, bytes]], n: int, seed: int) -> None:
    """Write `n` mutated files; file `i` hangs on the seed and `i` alone."""
    names = list(MUTATIONS)
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        (suffix, data), (other_suffix, other) = (files[int(rng.integers(len(files)))] for _ in range(2))
        name = names[i % len(names)]
        suffix = other_suffix if name == "under another's name" else suffix
        mutated = MUTATIONS[name](bytearray(data), other, rng)
        (folder / f"{i:05d} {name}.{suffix}".replace("'", "")).write_bytes(mutated)


def run(workspace: Workspace, catalogue: Path) -> pd.DataFrame:
    """Scan and separate a folder; return a row per file: `ended` (in which tables), `error`, `message`, `seconds`."""
    config = Config(workspace=workspace.root, separate=SeparateConfig(separator="spleeter", compute=Compute(batch=8)))
    listing, _ = scan.list_catalogue(str(catalogue), tuple({path.suffix.lower() for path in catalogue.iterdir()}))
    scanned = _through(scan.ScanWorker(config.workspace), listing, 64)
    scan.derive_tracks(workspace)
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
            (vocals["track_id"] == file.track_id).sum())
        told = by_key.loc[keys[0]] if keys else None
        rows.append({"uri": file.uri, "duration_s": file.duration_s, "note": file.note, "ended": ended,
                     "duplicate": pd.notna(file.track_id) and file.uri not in kept,
                     "error": None if told is None else told["error"],
                     "message": None if told is None else told["message"],
                     "seconds": max(scanned.get(file.key, 0.0), separated.get(file.track_id, 0.0))})
    return pd.DataFrame(rows)


def _through(worker: Any, rows: pa.Table, batch: int) -> dict[str, float]:
    """Send rows through a worker and return the seconds of each; an exception is printed, as it must not be."""
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
    """Return how many seconds FFmpeg's command decodes of a file's best audio stream."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-protocol_whitelist", "file", "-i", path, "-map", "0:a:0",
               "-ac", "1", "-ar", "8000", "-f", "s16le", "-"]
    try:
        return len(subprocess.run(command, capture_output=True, timeout=SLOW_S, check=False).stdout) / 16000
    except subprocess.TimeoutExpired:
        return float("nan")


def compare(found: pd.DataFrame) -> None:
    """Print where the product's length and FFmpeg's differ, and what it says of files that FFmpeg decodes."""
    theirs = pd.Series([ffmpeg_s(uri) for uri in found["uri"]], found.index)
    ours = found["duration_s"].fillna(0.0)
    heard, refused = theirs > 0.1, ours == 0
    less = heard & ~refused & (ours < (1 - TOLERANCE) * theirs - 0.02)
    more = ~refused & (ours > (1 + TOLERANCE) * theirs + 0.02)
    header("Against FFmpeg's command", "files", "n")
    row("that it decodes", int(heard.sum()))
    row(f"of these as long within {TOLERANCE:.0%} and 0.02 s", int((heard & ~refused & ~less & ~more).sum()))
    for name, which in (("shorter", less), ("refused", heard & refused), ("longer", more)):
        row(f"{name} in the product", int(which.sum()))
        row(f"{name}, and it says why", int((which & found["note"].fillna(found["message"]).notna()).sum()))
    for name, which in (("shorter", less), ("refused", heard & refused), ("longer", more)):
        for i in found.index[which]:
            print(f"- {name}: {Path(found['uri'][i]).name}: {ours[i]:.2f} s, FFmpeg {theirs[i]:.2f} s; "
                  f"{found['message'][i]}; {found['note'][i]}")


def show(found: pd.DataFrame, seconds: float) -> None:
    """Print what became of the files."""
    header("What became of them", "outcome", "files")
    outcomes = collections.Counter(found["error"].fillna("a row of vocals"))
    for outcome, n in outcomes.most_common():
        row(outcome, n)
    placed = found["ended"].map(len)
    header("What must be nothing, and what it took", "", "")
    row("files in no table, or in two", int((placed != 1).sum()))
    row("`unexpected`", int((found["error"] == "unexpected").sum()))
    row(f"files that took over {SLOW_S:g} s", int((found["seconds"] > SLOW_S).sum()))
    row("messages that are none", int(found["message"].str.contains("Traceback|Error:|^$", na=False).sum()))
    row("slowest file, s", f"{found['seconds'].max():.1f}")
    row("peak memory of the worker, of its decoder, GB", f"{MEMORY_GB['worker']:.2f} and {MEMORY_GB['decoder']:.2f}")
    row("duplicates", int(found["duplicate"].sum()))
    row("minutes", f"{seconds / 60:.1f}")
    for file in found[(placed != 1) | found["error"].isin(["unexpected", "crashed"])].itertuples():
        print(f"- {Path(file.uri).name}: {file.ended} {file.error}: {file.message}")


def main(argv: Sequence[str] | None = None) -> int:
    """Generate, run and print."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.inputs", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--n", type=int, default=1000, help="how many files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--audio", type=Path, help="a folder of files that are mutated besides")
    parser.add_argument("--keep", type=Path, help="where the files and the workspace stay")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        root = arguments.keep or Path(temporary)
        (root / "catalogue").mkdir(parents=True)
        generate(root / "catalogue", originals(arguments.audio), arguments.n, arguments.seed)
        started = time.monotonic()
        found = run(Workspace(root / "workspace"), root / "catalogue")
        show(found, time.monotonic() - started)
        if shutil.which("ffmpeg"):
            compare(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
