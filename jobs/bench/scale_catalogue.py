"""A catalogue of simulated voices for `jobs.bench.scale`: a workspace as it is after `embed`, and who sings.

Singers have 1 (four tracks in ten), 2, 4 or 10 tracks. Half of those with several, but at most 10,000, are known by one
track. Each file has a credit, and 2 % of the credits name another singer. The files exist but are empty, each track has
one clip, and all share one file of vocals.
"""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import soundfile

from jobs.bench.grouping import DIM, simulate, simulated_backend
from pipeline.config import Config
from pipeline.scoring import metrics, voices
from pipeline.sections import SeparateConfig
from pipeline.store import tables
from pipeline.store.workspace import Workspace

ENCODER = "simulated"
SIZES = np.array([1] * 8000 + [2] * 2000 + [4] * 1000 + [10] * 400)  # of the singers of 20,000 tracks
PART = 20_000  # tracks that are written at once
IN_FOLDER = 1000  # files
SECONDS, RATE_HZ = 60.0, 16_000  # of clips a track
SWAPPED = 0.02
KNOWN = 10_000  # names, at most
NAMED = "vocalist {}"
MODIFIED = pd.Timestamp("2026-01-01", tz="UTC")


class Catalogue:
    """A folder with a workspace as it is after `embed`, the `music/` and lists that it was made of; and who sings."""

    def __init__(self, folder: Path, rate: float):
        self.folder, self.rate = folder, rate
        folder.mkdir(parents=True, exist_ok=True)
        self.workspace = Workspace(folder / "workspace")
        self._truth = folder / "truth.parquet"
        none = pd.DataFrame({"track_id": pd.Series(dtype=object), "who": pd.Series(dtype=int)})
        self.truth = pd.read_parquet(self._truth) if self._truth.exists() else none
        self.config = folder / "config.yaml"
        if not len(self.truth):
            self.workspace.write_bytes(voices.calibration_name(ENCODER), self._backend())
            noise = np.random.default_rng(0).normal(0, 0.1, int(SECONDS * RATE_HZ))
            soundfile.write(folder / "vocals.flac", noise, RATE_HZ)
            self.config.write_text(Config(separate=SeparateConfig(separator="spleeter")).to_yaml())

    def _backend(self) -> bytes:
        rng = np.random.default_rng(0)
        vectors = simulate([2] * 2000, self.rate, rng)[0]
        spread = float((vectors[::2] * vectors[1::2]).sum(1).mean())  # two tracks share no more than their singer
        return replace(simulated_backend(self.rate, rng), encoder_id=ENCODER, variance=spread).to_bytes()

    def grow(self, n_tracks: int) -> None:
        """Add about so many tracks by new singers."""
        rng = np.random.default_rng(1 + len(self.truth))
        sizes = np.resize(rng.permutation(SIZES), max(1, round(n_tracks * len(SIZES) / SIZES.sum())))
        singers = int(self.truth["who"].max() + 1) if len(self.truth) else 0
        first, found = len(self.truth), [self.truth]
        for part in np.array_split(sizes, max(1, n_tracks // PART)):
            vectors, who = simulate(part.tolist(), self.rate, rng)
            ids = [hashlib.md5(str(first + i).encode()).hexdigest() for i in range(len(who))]
            self._write(f"{first:09d}", ids, vectors.astype(np.float32))
            found.append(pd.DataFrame({"track_id": ids, "who": who + singers}))
            first, singers = first + len(ids), singers + len(part)
        self.truth = pd.concat(found, ignore_index=True)
        self._write_whole(rng)
        self.truth.to_parquet(self._truth)  # last: now all is there

    def _write(self, part: str, ids: list[str], vectors: np.ndarray) -> None:
        """Write a part of the tables that grow."""

        def put(table: str, **columns: object) -> None:
            rows = pa.table({"track_id": ids, **{name: _column(value, len(ids)) for name, value in columns.items()}})
            tables.write(self.workspace, table, rows.sort_by("track_id"), part)

        embedding = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIM)
        place = {"clip_id": pa.array(ids), "start_s": 0.0, "end_s": SECONDS}
        put("embeddings", encoder_id=ENCODER, embedding=embedding, **place)
        put("voices", encoder_id=ENCODER, embedding=embedding, n_clips=1, spread=0.0)
        put("shards", shard=f"part-{part}.parquet", n_clips=1)
        put("vocals", vocals_uri=str(self.folder.absolute() / "vocals.flac"), has_vocals=True)
        tables.write(self.workspace, "clips", [], part)  # without audio, since only the existence of the shard matters

    def _write_whole(self, rng: np.random.Generator) -> None:
        """Write the files, tracks and known names of the whole catalogue."""
        who, n = self.truth["who"].to_numpy(), len(self.truth)
        credit, swapped = who.copy(), np.flatnonzero(rng.random(n) < SWAPPED)
        credit[swapped] = np.roll(credit[swapped], 1)
        files = pd.DataFrame({"track_id": self.truth["track_id"], "uri": self._files(n), "title": "Song"})
        files["artist"] = [NAMED.format(i) for i in credit]
        tables.write(self.workspace, "files", files.assign(size_bytes=0, modified_at=MODIFIED, duration_s=200.0), "all")
        tables.replace(self.workspace, "tracks", files.assign(duration_s=200.0, n_files=1))
        files[["uri", "artist", "title"]].to_csv(self.folder / "manifest.csv", index=False)
        several = np.flatnonzero(np.bincount(who) > 1)[::2][:KNOWN]
        known = self.truth[self.truth["who"].isin(several)].drop_duplicates("who")
        known = pd.DataFrame({"track": known["track_id"], "vocalist": known["who"].map(NAMED.format)})
        known.to_csv(self.folder / "known.csv", index=False)

    def _files(self, n: int) -> list[str]:
        """Make the files that are not there yet, empty, and return the names of all."""
        at, names = MODIFIED.timestamp(), []
        for start in range(0, n, IN_FOLDER):
            folder = self.folder.absolute() / "music" / f"{start // IN_FOLDER:05d}"
            folder.mkdir(parents=True, exist_ok=True)
            there = set(os.listdir(folder))
            for i in range(start, min(start + IN_FOLDER, n)):
                names.append(f"{folder}/{i}.flac")
                if f"{i}.flac" not in there:
                    os.close(os.open(names[-1], os.O_CREAT | os.O_WRONLY, 0o644))
                    os.utime(names[-1], (at, at))
        return names

    def groups(self) -> dict[str, float]:
        """Return how well `clusters/` groups the tracks, and of those in a group how many are by its main singer."""
        found = tables.read(self.workspace, "clusters", ["track_id", "cluster_id"]).merge(self.truth, on="track_id")
        who, group = found["who"].to_numpy(), found["cluster_id"].to_numpy()
        grouped = group != metrics.NOISE
        return {
            **vars(metrics.bcubed(who, group)),
            "purity": metrics.purity(who[grouped], group[grouped]) if grouped.any() else np.nan,
            "grouped": float(grouped.sum()),
            "largest": float(np.bincount(group[grouped], minlength=1).max()),
        }

    def names(self) -> dict[str, float]:
        """Return how often the names in `tags/` are right, and how many of the tracks that could have one have it."""
        tags = tables.read(self.workspace, "tags").merge(self.truth, on="track_id")
        known = pd.read_csv(self.folder / "known.csv")
        asked = tags[~tags["track_id"].isin(known["track"])]
        named = asked["source"].isin(["enrolled", "credited"])
        singer = asked["who"].map(NAMED.format)
        right = asked["vocalist"] == singer
        could = singer.isin(known["vocalist"])
        credit = asked["file_artist"] == singer
        wrong = asked["disagrees"]
        return {
            "named right": float(right[named].mean()),
            "of known singers' named": float((named & right)[could].mean()),
            "of all named": float((named & right).mean()),
            "true credits accused": float(wrong[credit].mean()),
            "wrong credits found": float(wrong[~credit].mean()),
        }


def _column(value: object, n: int) -> pa.Array:
    return value if isinstance(value, pa.Array) else pa.repeat(pa.scalar(value), n)
