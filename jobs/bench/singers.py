"""Catalogues whose singers are known: released songs as vectors, karaoke and previews through the chain."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from jobs import engine
from jobs.bench.results import mix_down
from jobs.run import run_stages
from pipeline.config import load
from pipeline.scoring import voices
from pipeline.scoring.labelled import Clips, pool
from pipeline.scoring.voices import Clips as Heard
from pipeline.scoring.voices import Voices
from pipeline.sound import audio
from pipeline.sound.audio import Audio
from pipeline.store import tables
from pipeline.store.workspace import Workspace

MANY = "Music Delta"  # a label among the previews' artists


@dataclass(frozen=True)
class Catalogue:
    """Voices and clips of tracks whose `singer (n,)` is known; strangers have a name of their own each."""

    voices: Voices
    clips: Clips
    singer: np.ndarray

    @property
    def singles(self) -> int:
        """How many singers have one track."""
        return int((np.unique(self.singer, return_counts=True)[1] == 1).sum())

    @property
    def heard(self) -> Heard:
        """The clips as the stages take them; where in a track they begin is unknown."""
        clips = self.clips
        return Heard(clips.vectors, np.zeros(len(clips.track)), clips.seconds, clips.track)

    def part(self, kept: np.ndarray) -> "Catalogue":
        """Return the tracks at `kept (n,)` bool."""
        return Catalogue(self.voices[np.flatnonzero(kept)], self.clips.part(kept), self.singer[kept])


def read(workspace: Workspace, singers: dict[str, str]) -> Catalogue:
    """Return a workspace's tracks, by the singer of each track_id; one that is not named is a stranger."""
    found, _ = voices.read(workspace)
    frame, vectors = tables.read_embeddings(workspace)
    number = {track_id: i for i, track_id in enumerate(found.track_ids)}
    rows = np.flatnonzero(frame["track_id"].isin(number).to_numpy())
    track = frame["track_id"].iloc[rows].map(number).to_numpy(int)
    singer = np.array([singers.get(track_id) or f"stranger {track_id}" for track_id in found.track_ids], object)
    seconds = voices.singing_in(workspace, frame)[rows]
    return Catalogue(found, Clips(vectors[rows].astype(float), seconds, track, singer), singer)


def halves(singer: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the two halves (n,) bool of a catalogue's tracks, no singer in both.

    Singers of several songs and those of one are halved separately.
    """
    names, at, count = np.unique(singer, return_inverse=True, return_counts=True)
    order = np.lexsort((np.random.default_rng(seed).permutation(len(names)), count > 1))
    first = np.zeros(len(names), bool)
    first[order[::2]] = True
    return first[at], ~first[at]


def released(vectors: Path) -> dict[str, Catalogue]:
    """Return the catalogue of released songs."""
    workspace = Workspace(vectors)
    files = tables.read(workspace, "files", ["uri", "track_id"])
    labels = pd.read_csv(vectors / "truth.csv").dropna().merge(files, on="uri")
    return {"released songs": read(workspace, dict(zip(labels["track_id"], labels["who"], strict=True)))}


def excerpts(songs: Catalogue, seed: int = 0) -> Catalogue:
    """Return the same tracks; those of singers with several keep two to five of their clips, 10 to 30 s."""
    rng, clips = np.random.default_rng(seed), songs.clips
    _, at, count = np.unique(songs.singer, return_inverse=True, return_counts=True)
    kept = np.ones(len(clips.track), bool)
    for track in np.flatnonzero(count[at] > 1):
        own = np.flatnonzero(clips.track == track)
        size = min(len(own), int(rng.integers(2, 6)))
        start = int(rng.integers(0, len(own) - size + 1))
        kept[np.delete(own, np.arange(start, start + size))] = False
    short = Clips(clips.vectors[kept], clips.seconds[kept], clips.track[kept], clips.singer)
    means, seconds, _ = pool(short)
    return Catalogue(Voices(songs.voices.track_ids, means, seconds), short, songs.singer)


def sung(source: Path, workspace: Path) -> dict[str, Catalogue]:
    """Return karaoke with previews, karaoke alone, and its pieces, as the chain embeds them."""
    whole, parts = workspace.with_name(workspace.name + "-whole"), workspace.with_name(workspace.name + "-pieces")
    expected = by_artist(mix_down(source, whole))
    karaoke = expected[expected["set"] == "karaoke"]
    together = embedded(workspace / "whole", whole, expected)
    pieces = {}
    for seconds in (30, 10):
        folder = parts / f"{seconds}s"
        pieces[seconds] = embedded(workspace / f"{seconds}s", folder, cut_up(karaoke, folder, seconds))
    alone = together.part(np.isin(together.singer, karaoke["singer"].unique()))
    return {
        "karaoke with previews": together,
        "karaoke": alone,
        **{f"karaoke in pieces of {seconds} s": found for seconds, found in pieces.items()},
    }


def by_artist(expected: pd.DataFrame) -> pd.DataFrame:
    """Return a truth in which previews of one artist share a singer; those of `MANY` are each somebody else's."""
    artist = expected["file"].str.extract(r"previews/(.*?) - ", expand=False)
    return expected.assign(singer=artist.mask(artist == MANY).fillna(expected["singer"]))


def cut_up(songs: pd.DataFrame, folder: Path, seconds: int) -> pd.DataFrame:
    """Write every third piece of so many seconds of each song as a file; return them with their singers."""
    rows = []
    for row in songs.itertuples():
        mix, rate = soundfile.read(row.uri, dtype="float32", always_2d=True)
        for i, start in enumerate(range(0, len(mix), 3 * seconds * rate)):
            piece = mix[start : start + seconds * rate].T
            path = folder / f"{row.singer}/{Path(row.uri).stem}-{i}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(audio.flac_bytes(Audio(piece, rate)))
            rows.append({"uri": str(path), "singer": row.singer})
    return pd.DataFrame(rows)


def embedded(workspace: Path, catalogue: Path, expected: pd.DataFrame) -> Catalogue:
    """Run the chain up to `embed` and return its tracks."""
    config = load(
        Path(__file__).parents[2] / "configs" / "local.yaml",
        [
            f"workspace={workspace}",
            f"catalogue={catalogue}",
            "separate.separator=spleeter",
            "stages=[scan, separate, shard, embed]",
        ],
    )
    run_stages(config)
    files = tables.read(Workspace(workspace), "files", ["uri", "track_id"])
    labels = expected[expected["singer"] != ""].merge(files, on="uri")
    return read(Workspace(workspace), dict(zip(labels["track_id"], labels["singer"], strict=True)))


def command(
    name: str, doc: str | None, run: Callable[[Path | None, Path | None, Path], int], argv: Sequence[str] | None
) -> int:
    """Run a bench on what a command line names: recordings, vectors, and where the chain works.

    Args:
        name: of the bench's module. doc: its docstring. run: takes the three, each of the first two None if not named.
    """
    parser = argparse.ArgumentParser(prog=f"python -m jobs.bench.{name}", description=(doc or "").split("\n")[0])
    parser.add_argument("--audio", type=Path)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--workspace", type=Path, default=Path("workspace/answers"))
    arguments = parser.parse_args(argv)
    return engine.guarded(lambda: run(arguments.audio, arguments.vectors, arguments.workspace))
