"""Measure what processing only excerpts of each track costs in accuracy and saves in time, from files to tags.

    python -m jobs.bench.excerpts [--audio AUDIO] [--vectors VECTORS] [--heard 0 30 60 90 120] [--tracks 24]

AUDIO holds `karaoke/` and `songs/`, as `jobs.bench.results` reads them. A track of the catalogue is two karaoke songs
of a singer joined end to end, the accompaniment of two such songs, or a whole song. One track of each singer is known.
`--heard` is the length of the mix that is processed per track, in four excerpts (0: all of it), in seconds. The stages'
workers run one after the other in this process; starting Ray and loading networks do not count. A stopped command
continues when it is run again, but then prints no times.

VECTORS is a workspace with `truth.csv` (`uri`, `who`) whose tracks were processed whole: the result of excerpts of
different number and length is estimated from the clips whose middle lies in them. Prints Markdown.
"""

import argparse
import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from jobs.bench import heard
from jobs.bench.here import run_here
from jobs.bench.results import HEADROOM
from jobs.bench.table import header, row
from pipeline.config import Config
from pipeline.demo import truth
from pipeline.evaluate import datasets, stems
from pipeline.people.known import known_uris
from pipeline.sections import ClusterConfig, ExcerptsConfig, SeparateConfig
from pipeline.sound import audio
from pipeline.sound.audio import Audio
from pipeline.store import tables
from pipeline.store.workspace import Workspace

COUNT, TOGETHER = 4, 2  # excerpts per track; karaoke songs per track
BANDS = 6  # tracks with singing for each track of accompaniment alone
STAGES = ("scan", "separate", "shard", "embed", "cluster", "tag")


def catalogue(source: Path, folder: Path, n_tracks: int) -> pd.DataFrame:
    """Write the catalogue with its `truth.csv` and `known.csv` into a folder, and return the truth."""
    rows = [*_sung(source, folder, n_tracks), *_songs(source, folder)]
    frame = pd.DataFrame(rows, columns=["set", "file", "singer", "expected"])
    frame.to_csv(folder / "truth.csv", index=False)
    known = frame[frame["singer"] != ""].drop_duplicates("singer")[["file", "singer"]]
    known.set_axis(["track", "vocalist"], axis=1).to_csv(folder / "known.csv", index=False)
    return truth.read_truth(folder / "truth.csv")


def _sung(source: Path, folder: Path, n_tracks: int) -> Iterator[tuple[str, str, str, str]]:
    """Write tracks of karaoke songs, one singer after the other, and some of accompaniment alone."""
    tracks = []
    recordings = datasets.read("karaoke", source / "karaoke") if (source / "karaoke").is_dir() else []
    for singer, its in itertools.groupby(recordings, key=lambda song: song.singer):
        songs = list(its)
        starts = range(0, len(songs) - TOGETHER + 1, TOGETHER)
        tracks += [(turn, singer, songs[start : start + TOGETHER]) for turn, start in enumerate(starts)]
    for i, (turn, singer, songs) in enumerate(sorted(tracks, key=lambda track: track[:2])[:n_tracks]):
        parts = [stems.read(song.uri, song.voice, song.accompaniment) for song in songs]
        rate, name = parts[0].sample_rate_hz, f"{singer}-{turn}.flac"
        yield "karaoke", _write(folder, f"karaoke/{name}", [part.mix for part in parts], rate), singer, "vocalist"
        if i % BANDS == 0:
            band = _write(folder, f"bands/{name}", [part.accompaniment for part in parts], rate)
            yield "bands", band, "", "instrumental"


def _write(folder: Path, name: str, waves: Sequence[np.ndarray], sample_rate_hz: int) -> str:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    wave = HEADROOM * np.concatenate(waves, axis=1)
    (folder / name).write_bytes(audio.flac_bytes(Audio(wave, sample_rate_hz)))
    return name


def _songs(source: Path, folder: Path) -> Iterator[tuple[str, str, str, str]]:
    for path in sorted((source / "songs").glob("* - *")):
        (folder / "songs").mkdir(parents=True, exist_ok=True)
        (folder / "songs" / path.name).write_bytes(path.read_bytes())
        yield "songs", f"songs/{path.name}", path.name.partition(" - ")[0], "vocalist"


def accuracy(config: Config, expected: pd.DataFrame) -> dict[str, float]:
    """Return the accuracy of a finished workspace's voices and tags, on the tracks whose singer is known."""
    workspace = Workspace(config.workspace)
    found = truth.outcomes(workspace, expected)
    voices, vectors = tables.read_voices(workspace)
    singers = voices.merge(found, on="track_id", how="left")["singer"].to_numpy()
    sung = singers != ""
    compared = truth.compare(workspace, expected[expected["singer"] != ""], known_uris(config.known))
    return {
        **heard.alike(singers[sung], vectors[sung]),
        "named": compared.named_accuracy,
        "f1": compared.bcubed_f1,
        "has_vocals": float((found["found"] == found["expected"]).mean()),
    }


def measure(source: Path, workspace: Path, heard_s: Sequence[float], n_tracks: int) -> None:
    """Print the time and the accuracy for each length that is processed."""
    folder = workspace / "catalogue"
    expected = catalogue(source, folder, n_tracks)
    lengths = {name: len(rows) for name, rows in expected.groupby("set")}
    header(
        f"{', '.join(f'{n} {name}' for name, n in lengths.items())}; threads: {torch.get_num_threads()}",
        "heard of a track, s",
        "heard in all, min",
        *(f"{name}, CPU s" for name in STAGES),
        "times real time",
        f"on {os.cpu_count()} cores, by processor time",
        "EER of tracks",
        "nearest is the singer's",
        "named right",
        "groups, B-cubed F1",
        "has_vocals right",
    )
    for seconds in heard_s:
        excerpts = ExcerptsConfig(count=COUNT, seconds=seconds / COUNT) if seconds else None
        config = Config(
            workspace=str(workspace / f"heard-{seconds:g}"),
            catalogue=str(folder),
            known=str(folder / "known.csv"),
            separate=SeparateConfig(separator="spleeter", excerpts=excerpts),
            cluster=ClusterConfig(umap=False),  # UMAP's compilation would take longer than all the rest
        )
        is_new = not Path(config.workspace).exists()
        spent = run_here(config, STAGES)
        found = accuracy(config, expected)
        vocals = tables.read(Workspace(config.workspace), "vocals", ["duration_s", "heard_s"])
        total_s, (wall, processor) = vocals["duration_s"].sum(), np.sum(list(spent.values()), axis=0)
        row(
            f"{seconds:g}" if seconds else "all",
            f"{vocals['heard_s'].sum() / 60:.0f} of {total_s / 60:.0f}",
            *(f"{took[1]:.1f}" if is_new else "" for took in spent.values()),
            f"{total_s / wall:.0f}" if is_new else "",
            f"{total_s * (os.cpu_count() or 1) / processor:.0f}" if is_new else "",
            *(f"{found[name]:.1%}" for name in ("eer", "nearest", "named")),
            f"{found['f1']:.3f}",
            f"{found['has_vocals']:.1%}",
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.excerpts", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--audio", type=Path, help="folder with karaoke/ and songs/")
    parser.add_argument("--vectors", type=Path, help="workspace with truth.csv")
    parser.add_argument("--heard", type=float, nargs="+", default=[0, 30, 60, 90, 120], help="seconds a track, 0: all")
    parser.add_argument("--tracks", type=int, default=24, help="karaoke tracks (24)")
    parser.add_argument("--workspace", type=Path, default=Path("workspace/excerpts"))
    arguments = parser.parse_args(argv)
    if arguments.vectors:
        heard.of_whole(arguments.vectors)
    if arguments.audio:
        measure(arguments.audio, arguments.workspace, arguments.heard, arguments.tracks)
    return 0


if __name__ == "__main__":
    sys.exit(main())
