"""Search: the tracks of a workspace whose voice is most like another, exactly and in bounded memory.

The question is a unit vector; voices are read block by block, centred on the catalogue's mean, and compared by a
matrix product. 10 million voices of 192 numbers are read twice and never held.
A file from outside the catalogue becomes a voice by the very workers that made the others, with the config
that was saved beside them.
"""

import difflib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.config import Config
from pipeline.people.names import key, letters
from pipeline.people.tracks import find_tracks
from pipeline.scoring.scores import Normaliser, unit
from pipeline.stages import embed, scan, separate, shard
from pipeline.store import provenance, tables
from pipeline.store.errors import ConfigError
from pipeline.store.locations import is_remote
from pipeline.store.workspace import Workspace

BLOCK = 65_536
FEWEST = 8  # voices, whose mean says nothing if there are fewer
COLUMNS = ["rank", "score", "vocalist", "artist", "title", "uri", "track_id"]


def blocks(workspace: Workspace) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the present tracks' voices as `(track_ids (b,), vectors (b, d) float32)`, a block at a time."""
    tracks = tables.present_tracks(workspace)
    present = None if tracks is None else pa.array(tracks, pa.string())
    for name in tables.parts(workspace, "voices"):
        with workspace.fs.open_input_file(workspace.path(name)) as source:
            for batch in pq.ParquetFile(source).iter_batches(BLOCK, columns=["track_id", "embedding"]):
                if present is not None:
                    batch = batch.filter(pc.is_in(batch["track_id"], present))
                if len(batch):
                    flat = batch["embedding"].flatten().to_numpy(zero_copy_only=False)
                    yield batch["track_id"].to_numpy(zero_copy_only=False), flat.reshape(len(batch), -1)


def normaliser(workspace: Workspace) -> Normaliser:
    """Return what centres voices on the catalogue; it leaves those of a very small one as they are.

    Raises:
        ConfigError: the workspace has no voices.
    """
    total: np.ndarray | None = None
    n = 0
    for track_ids, vectors in blocks(workspace):
        part = vectors.sum(0, dtype=np.float64)
        total = part if total is None else total + part
        n += len(track_ids)
    if total is None:
        raise ConfigError(f"{workspace.uri('voices')} holds no voices: run the stages up to embed first")
    return Normaliser((np.zeros_like(total) if n < FEWEST else total / n).astype(np.float32))


def most_similar(
    workspace: Workspace, question: np.ndarray, k: int, centre: Normaliser, without: set[str] | None = None
) -> pd.DataFrame:
    """Return the `k` tracks with the highest score, best first: `track_id`, `score`; equal scores by track_id.

    Args:
        question: (d,) a vector in the space of `centre`. without: tracks that may not answer.
    """
    best = pd.DataFrame({"track_id": pd.Series(dtype=object), "score": pd.Series(dtype=np.float64)})
    question = unit(question)
    for track_ids, vectors in blocks(workspace):
        frame = pd.DataFrame({"track_id": track_ids, "score": centre(vectors) @ question})
        frame = frame[~frame["track_id"].isin(without or set())].nlargest(k, "score", keep="all")
        best = pd.concat([best, frame]).sort_values(["score", "track_id"], ascending=[False, True]).head(k)
    return best.reset_index(drop=True)


def voices_of(workspace: Workspace, track_ids: set[str]) -> np.ndarray:
    """Return the voices (m, d) of the named tracks, those that have one."""
    found = [vectors[mask] for ids, vectors in blocks(workspace) if (mask := np.isin(ids, list(track_ids))).any()]
    return np.concatenate(found) if found else np.zeros((0, 0), np.float32)


def like(workspace: Workspace, track: str, k: int) -> pd.DataFrame:
    """Return the tracks that sound most like a track of the catalogue (id, path or end of a path) or another file.

    Raises:
        ConfigError: there is no such track or file, or it has no voice.
    """
    centre = normaliser(workspace)
    files = tables.read(workspace, "files", ["track_id", "uri"])
    uri = track if is_remote(track) else str(Path(track).expanduser().absolute())
    if uri in set(files["uri"]) or not (is_remote(track) or Path(uri).is_file()):
        track_id = find_track(track, files)
        question = voices_of(workspace, {track_id})
        if not len(question):
            raise ConfigError(
                f"{track} is in the catalogue but has no voice: it is instrumental, silent or failed "
                f"(see {workspace.uri('failures')})"
            )
        return about(workspace, most_similar(workspace, centre(question)[0], k, centre, {track_id}))
    track_id, voice = voice_of_file(workspace, uri)
    return about(workspace, most_similar(workspace, centre(voice[None])[0], k, centre, {track_id}))


def find_track(track: str, files: pd.DataFrame) -> str:
    """Return the track_id of a track_id, a path, or the end of a path of the catalogue.

    Raises:
        ConfigError: no track or several have it.
    """
    found = find_tracks([track], files)[0]
    if len(found.track_ids) > 1:
        raise ConfigError(f"{track} fits several tracks of the catalogue: give more of the path, or the track_id")
    if not found.track_ids:
        raise ConfigError(
            f"{track} is neither a track of the catalogue nor a file"
            + (f"; there is {found.nearest}" if found.nearest else "")
        )
    return next(iter(found.track_ids))


def by_vocalist(workspace: Workspace, name: str, k: int) -> pd.DataFrame:
    """Return the tracks that sound most like a vocalist and are not tagged so.

    Raises:
        ConfigError: no track is tagged with that name; the message says what is near.
    """
    centre = normaliser(workspace)
    tags = tables.read(workspace, "tags", ["track_id", "vocalist"])
    own = set(tags.loc[tags["vocalist"].map(lambda v: isinstance(v, str) and key(v) == key(name)), "track_id"])
    if not own:
        there = tags["vocalist"].dropna().unique().tolist()
        near = (
            [v for v in there if letters(name) in letters(v)] or difflib.get_close_matches(name, there, cutoff=0.5)
        )[:3]
        raise ConfigError(f"no track is tagged {name}" + (f"; there is {', '.join(near)}" if near else ""))
    question = unit(centre(voices_of(workspace, own)).mean(0))
    return about(workspace, most_similar(workspace, question, k, centre, own))


def about(workspace: Workspace, found: pd.DataFrame) -> pd.DataFrame:
    """Return found tracks with what is known of them: `COLUMNS`; missing texts are ""."""
    tracks = tables.read(workspace, "tracks", ["track_id", "uri", "artist", "title"]).drop_duplicates("track_id")
    tags = tables.read(workspace, "tags", ["track_id", "vocalist"]).drop_duplicates("track_id")
    rows = found.merge(tracks, on="track_id", how="left").merge(tags, on="track_id", how="left")
    for name in ("uri", "artist", "title", "vocalist"):
        rows[name] = rows[name].astype(object).where(rows[name].notna(), "")
    return rows.assign(rank=np.arange(1, len(rows) + 1), score=rows["score"].astype(float).round(4))[COLUMNS]


def voice_of_file(workspace: Workspace, uri: str) -> tuple[str, np.ndarray]:
    """Return the track_id and the voice (d,) of an audio file, made as the workspace's own were made.

    Raises:
        ConfigError: there is no such file, nobody sings in it, or the workspace's encoder is not there any more.
    """
    made_by = provenance.saved(workspace, "embeddings")
    if not made_by:
        raise ConfigError(
            f"{workspace.uri('embeddings')} does not say how it was made: "
            "only the catalogue's own tracks can be asked for"
        )
    encoder_id = str(made_by["encoder_id"])
    name = encoder_id if workspace.exists(f"encoders/{encoder_id}/model.safetensors") else made_by["embed"]["encoder"]
    sections: dict[str, Any] = {section: made_by[section] for section in ("separate", "shard")}
    sections["embed"] = made_by["embed"] | {"encoder": embed.find_encoder(workspace, name)}
    with tempfile.TemporaryDirectory() as folder:
        config = Config.model_validate({"workspace": folder, "catalogue": uri, **sections})
        inner = Workspace(folder)
        listing, _ = scan.list_catalogue(uri, config.scan.suffixes)
        scan.ScanWorker(folder)(scan.pending(inner, listing))
        scan.derive_tracks(inner, listing)
        for worker, pending, settings in (
            (separate.SeparateWorker, separate.pending, (config.separate,)),
            (shard.ShardWorker, shard.pending, (config.shard, config.separate, config.seed)),
            (embed.EmbedWorker, embed.pending, (config.embed,)),
        ):
            todo, _ = pending(inner)
            if len(todo):
                worker(folder, *settings)(todo)
        frame, vectors = tables.read_voices(inner)
        failures = tables.read(inner, "failures", ["message"])["message"].tolist()
    if not len(frame):
        raise ConfigError(f"{uri} has no voice to search by: {'; '.join(failures) or 'nobody sings in it'}")
    if frame["encoder_id"][0] != encoder_id:
        raise ConfigError(
            f"the voices were made by the encoder {encoder_id}, which is not there any more "
            f"({name} is {frame['encoder_id'][0]} now): only the catalogue's own tracks can be asked for"
        )
    return str(frame["track_id"][0]), vectors[0]
