"""Search: the tracks of a workspace with the most similar voices, by exact search.

A `Search` reads the voices once and keeps them in memory as they are stored, 0.8 GB for a million of 192 numbers; each
question is then a matrix product. Scores are cosines of voices that are centred on the catalogue's mean: since the
length of each centred voice is kept, no centred copy of them is needed. A file from outside the catalogue is turned
into a voice by the same workers as the others, with the config that was saved with them.
"""

import difflib
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import Config
from pipeline.people.names import key, letters
from pipeline.people.tracks import find_tracks
from pipeline.scoring.scores import Normaliser, blockwise, unit
from pipeline.store import provenance, tables
from pipeline.store.errors import ConfigError
from pipeline.store.locations import is_remote
from pipeline.store.workspace import Workspace

FEWEST = 8  # voices that are centred on their mean, which is meaningless for fewer
COLUMNS = ["rank", "score", "vocalist", "artist", "title", "uri", "track_id"]


class Search:
    """The voices of the present tracks.

    Attributes:
        voices: `track_id` and `embedding` of each of the n.
        normalise: centres vectors (k, d) on the mean of all voices, and scales them to unit length.
        length: (n,) of the centred voices.

    Raises:
        ConfigError: the workspace has no voices.
    """

    def __init__(self, workspace: Workspace):
        self.workspace = workspace
        self.voices = tables.present_voices(workspace, ["track_id", "embedding"])
        if not len(self.voices):
            raise ConfigError(f"{workspace.uri('voices')} holds no voices: run the stages up to embed first")
        self._vectors = tables.vector_chunks(self.voices)
        mean = sum(vectors.sum(0, dtype=np.float64) for vectors in self._vectors) / len(self.voices)
        self.normalise = Normaliser((mean if len(self.voices) >= FEWEST else np.zeros_like(mean)).astype(np.float32))
        self.length = np.concatenate([blockwise(self._length, vectors) for vectors in self._vectors])

    @cached_property
    def files(self) -> pa.Table:
        """The `track_id` and `uri` of every file of the catalogue."""
        return tables.read_arrow(self.workspace, "files", ["track_id", "uri"])

    @cached_property
    def tracks(self) -> pa.Table:
        """The `track_id`, `uri`, `artist` and `title` of every track."""
        return tables.read_arrow(self.workspace, "tracks", ["track_id", "uri", "artist", "title"])

    @cached_property
    def tags(self) -> pa.Table:
        """The `track_id` and `vocalist` of every voice, if they were tagged."""
        return tables.read_arrow(self.workspace, "tags", ["track_id", "vocalist"])

    def like(self, track: str, k: int) -> pd.DataFrame:
        """Return the tracks most similar to a track of the catalogue (id, path or end of a path) or to another file.

        Raises:
            ConfigError: the track or file does not exist, or has no voice.
        """
        rows = self._rows({track})
        if not rows.any():
            uri = track if is_remote(track) else str(Path(track).expanduser().absolute())
            if not (_where(self.files["uri"], {uri}).any() or is_remote(track)) and Path(uri).is_file():
                track_id, voice = voice_of_file(self.workspace, uri)
                return self._answer(self.normalise(voice), k, self._rows({track_id}))
            rows = self._rows({self._track_id(track, uri)})
        if not rows.any():
            raise ConfigError(
                f"{track} is in the catalogue but has no voice: it is instrumental, silent or failed "
                f"(see {self.workspace.uri('failures')})"
            )
        return self._answer(self._normalised(rows)[0], k, rows)

    def by_vocalist(self, name: str, k: int) -> pd.DataFrame:
        """Return the tracks most similar to a vocalist that are not tagged with that name.

        Raises:
            ConfigError: no track is tagged with that name; the message suggests similar names.
        """
        there = self.tags["vocalist"].unique().drop_null().to_pylist()
        spelled = {other for other in there if key(other) == key(name)}
        if not spelled:
            near = [other for other in there if letters(name) in letters(other)]
            near = (near or difflib.get_close_matches(name, there, cutoff=0.5))[:3]
            raise ConfigError(f"no track is tagged {name}" + (f"; did you mean {', '.join(near)}?" if near else ""))
        own = self.tags.filter(pa.array(_where(self.tags["vocalist"], spelled)))
        rows = self._rows(set(own["track_id"].to_pylist()))
        if not rows.any():
            raise ConfigError(f"no track that is tagged {name} has a voice")
        return self._answer(unit(self._normalised(rows).mean(0)), k, rows)

    def _track_id(self, track: str, uri: str) -> str:
        for column, value in (("track_id", track), ("uri", uri)):  # looked up at once; a part of a path takes longer
            found = self.files["track_id"].filter(pa.array(_where(self.files[column], {value}))).unique()
            if len(found) == 1:
                return found[0].as_py()
        return find_track(track, self.files.to_pandas())

    def _length(self, vectors: np.ndarray) -> np.ndarray:
        return np.linalg.norm(vectors - self.normalise.mean, axis=1)

    def _rows(self, track_ids: set[str]) -> np.ndarray:
        """Return which voices (n,) are those of tracks."""
        return _where(self.voices["track_id"], track_ids)

    def _normalised(self, rows: np.ndarray) -> np.ndarray:
        return self.normalise(tables.vectors_of(self.voices.filter(pa.array(rows))))

    def _answer(self, question: np.ndarray, k: int, without: np.ndarray) -> pd.DataFrame:
        """Return the `k` tracks with the highest cosine, `COLUMNS`, best first, ties by track_id.

        Args:
            question: (d,) a centred unit vector.
            k: number of tracks.
            without: (n,) which voices to leave out.
        """
        cosine = np.concatenate([vectors @ question for vectors in self._vectors]) - self.normalise.mean @ question
        scores = np.divide(cosine, self.length, out=np.zeros_like(cosine), where=self.length > 0)
        scores[without] = -np.inf
        k = min(k, int((~without).sum()))
        least = np.partition(scores, len(scores) - k)[len(scores) - k] if k else np.inf
        best = scores >= least
        track_ids = self.voices["track_id"].filter(pa.array(best)).to_pylist()
        found = pd.DataFrame({"track_id": track_ids, "score": scores[best]})
        return self._about(found.sort_values(["score", "track_id"], ascending=[False, True]).head(k))

    def _about(self, found: pd.DataFrame) -> pd.DataFrame:
        """Return found tracks with all `COLUMNS`; missing texts are ""."""
        for table in (self.tracks, self.tags):
            about = table.filter(pa.array(_where(table["track_id"], set(found["track_id"])))).to_pandas()
            found = found.merge(about.drop_duplicates("track_id"), on="track_id", how="left")
        for name in ("uri", "artist", "title", "vocalist"):
            found[name] = found[name].astype(object).where(found[name].notna(), "")
        return found.assign(rank=np.arange(1, len(found) + 1), score=found["score"].astype(float).round(4))[COLUMNS]


def _where(column: pa.ChunkedArray, values: set[str]) -> np.ndarray:
    """Return where (n,) a column of texts holds one of the values."""
    return pc.is_in(column, pa.array(values, pa.string())).to_numpy(zero_copy_only=False)


def find_track(track: str, files: pd.DataFrame) -> str:
    """Return the track_id of a track_id, a path, or the end of a path of the catalogue.

    Raises:
        ConfigError: no track, or more than one, matches.
    """
    found = find_tracks([track], files)[0]
    if len(found.track_ids) > 1:
        raise ConfigError(f"{track} matches several tracks of the catalogue: give more of the path, or the track_id")
    if not found.track_ids:
        raise ConfigError(
            f"{track} is neither a track of the catalogue nor a file"
            + (f"; did you mean {found.nearest}?" if found.nearest else "")
        )
    return next(iter(found.track_ids))


def voice_of_file(workspace: Workspace, uri: str) -> tuple[str, np.ndarray]:
    """Return the track_id and the voice (d,) of an audio file, made as the workspace's own were made.

    Raises:
        ConfigError: the file does not exist, nobody sings in it, or the workspace's encoder no longer exists.
    """
    from pipeline.stages import embed, encoders, scan, separate, shard  # they load torch, which no other question needs

    made_by = provenance.saved(workspace, "embeddings")
    if not made_by:
        raise ConfigError(
            f"{workspace.uri('embeddings')} does not say how it was made: "
            "only the catalogue's own tracks can be searched for"
        )
    encoder_id = str(made_by["encoder_id"])
    name = encoder_id if workspace.exists(f"encoders/{encoder_id}/model.safetensors") else made_by["embed"]["encoder"]
    sections: dict[str, Any] = {section: made_by[section] for section in ("separate", "shard")}
    sections["embed"] = made_by["embed"] | {"encoder": encoders.find_encoder(workspace, name)}
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
            f"the voices were made by the encoder {encoder_id}, which no longer exists "
            f"({name} is now {frame['encoder_id'][0]}): only the catalogue's own tracks can be searched for"
        )
    return str(frame["track_id"][0]), vectors[0]
