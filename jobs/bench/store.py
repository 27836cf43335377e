"""Measure what a catalogue on an object store costs: requests by kind and stage, seconds, and dollars a million tracks.

    python -m jobs.bench.store [--tracks 64 192] [--code FOLDER]

Prints Markdown. The store is moto's S3 server on loopback behind a counter (see `jobs.bench.object_store`), and the
tracks are rendered. The cost of a track is the difference between two catalogues divided by that of their sizes, which
leaves out the fixed cost of a run. `--code` measures another checkout of Vocatlas in the same way.
"""

import argparse
import collections
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import yaml

from jobs.bench.object_store import ObjectStore
from jobs.bench.table import clock, header, row
from pipeline.demo.mix import perform
from pipeline.demo.singer import draw_singers
from pipeline.store.spool import local_copy

RATE, TRACK_S, SONG_S = 44100, 7.0, 24.0
SUMMARY = re.compile(r" done, .* skipped, \d+ failed")
STAGES = ("scan", "separate", "shard", "embed", "cluster", "tag", "report")
DELAYS_S = (0.0, 0.03)
BIG_S = 504  # of an mp3 of 160 kbit/s: 10 MB
# Amazon's list prices of S3 Standard in us-east-1, dollars a request: https://aws.amazon.com/s3/pricing/
PRICES = {"GET": 0.4e-6, "HEAD": 0.4e-6, "PUT": 5e-6, "POST": 5e-6, "LIST": 5e-6, "DELETE": 0.0}
SETTINGS = {  # batches as in configs/ray-cluster.yaml; shards that hold as many of these short tracks as of whole ones
    "min_free_gb": 0,
    "max_failed_fraction": 1.0,
    "scan": {"compute": {"batch": 64}},
    "separate": {"separator": "spleeter", "compute": {"cpus": 2, "batch": 16}},
    "shard": {"shard_mb": 8, "compute": {"batch": 32}},
    "cluster": {"umap": False},
}


def render(folder: Path, n: int) -> None:
    """Write `n` different excerpts of a few rendered songs."""
    generator = np.random.default_rng(0)
    songs = [
        perform([singer], SONG_S, "strings", RATE, generator).mix
        for singer in draw_singers(["ann", "bob", "cyd"], generator)
    ]
    folder.mkdir(parents=True)
    for i in range(n):
        song = songs[i % len(songs)]
        start = int(generator.integers(song.shape[1] - round(TRACK_S * RATE)))
        soundfile.write(folder / f"{i:05d}.flac", song[:, start : start + round(TRACK_S * RATE)].T, RATE)


def put(store: ObjectStore, files: Sequence[Path], prefix: str) -> None:
    """Copy files into the store."""
    client = store.client()
    for path in files:
        with client.open_output_stream(f"{prefix.removeprefix('s3://')}/{path.name}") as sink:
            sink.write(path.read_bytes())


@dataclass
class Spent:
    """The cost of a stage: requests to the store by kind, those for audio, and seconds."""

    kinds: collections.Counter[str]
    audio: int
    seconds: float


def run(store: ObjectStore, code: Path, config: Path) -> list[Spent]:
    """Run all stages of a config in one process, and tell their costs apart by the summaries that they print."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "jobs.run", str(config)],
        cwd=code,
        text=True,
        stdout=subprocess.PIPE,
        env=os.environ | store.environment | {"PYTHONPATH": str(code)},
    )
    assert process.stdout is not None
    found, began = [], clock()
    store.forget()
    for line in process.stdout:
        if SUMMARY.search(line):
            audio = store.kinds("/music/", "/vocals_audio/")
            found.append(Spent(store.kinds(), audio.total() - audio["LIST"], (clock() - began)[0]))
            store.forget()
            began = clock()
    if process.wait():
        raise RuntimeError(f"{config} ended with {process.returncode}")
    return found


def catalogue(store: ObjectStore, code: Path, folder: Path, files: Sequence[Path]) -> tuple[list[Spent], list[Spent]]:
    """Run all stages over a catalogue, and again with nothing new."""
    bucket = store.bucket()
    put(store, files, f"{bucket}/music")
    config = folder / f"{len(files)}.yaml"
    config.write_text(yaml.safe_dump(SETTINGS | {"workspace": f"{bucket}/workspace", "catalogue": f"{bucket}/music"}))
    return run(store, code, config), run(store, code, config)


def requests(store: ObjectStore, code: Path, folder: Path, sizes: Sequence[int]) -> None:
    """Print the requests for a track, by kind and stage."""
    render(folder / "music", sizes[1])
    files = sorted((folder / "music").iterdir())
    (few, few_again), (many, many_again) = (catalogue(store, code, folder, files[:n]) for n in sizes)
    more = sizes[1] - sizes[0]
    header(
        f"Requests a track (the difference of {sizes[1]} and {sizes[0]} tracks)",
        "stage",
        *PRICES,
        "in all",
        "of it audio",
        "again, with nothing new",
        "a run, whatever the number",
    )
    table = []
    for i, stage in enumerate(STAGES):
        each = [(many[i].kinds[kind] - few[i].kinds[kind]) / more for kind in PRICES]
        table.append(
            [
                *each,
                sum(each),
                (many[i].audio - few[i].audio) / more,
                (many_again[i].kinds.total() - few_again[i].kinds.total()) / more,
            ]
        )
        row(
            stage,
            *(f"{value:.2f}" for value in table[-1][:-1]),
            f"{table[-1][-1]:.3f}",
            round(few[i].kinds.total() - sum(each) * sizes[0]),
        )
    total = np.sum(table, axis=0)
    row("all", *(f"{value:.2f}" for value in total[:-1]), f"{total[-1]:.3f}", "")
    dollars = 1e6 * sum(value * price for value, price in zip(total, PRICES.values(), strict=False))
    print(f"\nA million tracks: ${dollars:,.0f} for requests at list prices.", flush=True)


def seconds(store: ObjectStore, code: Path, folder: Path) -> None:
    """Print the requests and seconds for one large mp3 in scan, separate and shard."""
    (folder / "big").mkdir()
    track = folder / "big" / "track.mp3"
    generator = np.random.default_rng(1)
    song = perform(draw_singers(["ann"], generator), SONG_S, "strings", RATE, generator).mix
    soundfile.write(
        track,
        np.tile(song.T, (round(BIG_S / SONG_S), 1)),
        RATE,
        format="MP3",
        bitrate_mode="CONSTANT",
        compression_level=0.5,
    )
    header(
        f"One mp3 of {track.stat().st_size / 1e6:.1f} MB",
        "stage",
        "requests for audio",
        *(f"seconds at {delay_s * 1000:g} ms a request" for delay_s in DELAYS_S),
    )
    found = []
    for delay_s in DELAYS_S:
        bucket = store.bucket()
        put(store, [track], f"{bucket}/music")
        config = folder / "big.yaml"
        config.write_text(
            yaml.safe_dump(
                SETTINGS
                | {"workspace": f"{bucket}/workspace", "catalogue": f"{bucket}/music", "stages": list(STAGES[:3])}
            )
        )
        store.delay_s = delay_s
        found.append(run(store, code, config))
        store.calm()
    for stage, fast, slow in zip(STAGES, *found, strict=False):
        row(stage, fast.audio, f"{fast.seconds:.1f}", f"{slow.seconds:.1f}")
    os.environ.update(store.environment)
    store.delay_s, began = DELAYS_S[-1], clock()
    with local_copy(f"{bucket}/music/{track.name}"):
        print(f"\nFetching it takes {(clock() - began)[0]:.2f} s at {DELAYS_S[-1] * 1000:g} ms a request.", flush=True)
    store.calm()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.store", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tracks", type=int, nargs=2, default=(64, 192), help="sizes of the two catalogues")
    parser.add_argument("--code", type=Path, default=Path(__file__).resolve().parents[2], help="another checkout")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = ObjectStore()
        requests(store, arguments.code.resolve(), Path(folder), arguments.tracks)
        seconds(store, arguments.code.resolve(), Path(folder))
        store.close()


if __name__ == "__main__":
    main()
