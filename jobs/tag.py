"""Name the vocalist of every track, from a few known names and the clusters: `tags/`, `candidates/`, `review/`."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import version

import numpy as np
import pandas as pd

from jobs import engine
from jobs.tasks import in_tasks
from pipeline.config import Config
from pipeline.people.credits import of_catalogue
from pipeline.people.known import match_known, read_known
from pipeline.scoring import kept, neighbours, same, voices
from pipeline.scoring.backend import Backend
from pipeline.scoring.centre import centred
from pipeline.scoring.metrics import NOISE
from pipeline.stages import review, tag
from pipeline.store import provenance, tables
from pipeline.store.workspace import Workspace

CLUSTERS = ["track_id", "cluster_id", "voice", "probability", "same_recording"]
SHOWN = 10  # examples of known tracks in doubt that are printed


def work(config: Config, run: engine.Run) -> None:
    """Name the vocalist of every track, from a few known names, the files' credits and the clusters."""
    workspace = run.workspace
    provenance.claim(workspace, config.model_copy(update={"replace": True}), "tag", seed=config.seed)
    found, backend = voices.read(workspace)
    clusters = clusters_of(found, workspace, run.say)
    known = known_names(config.known, workspace, run.say)
    tracks = tables.read(workspace, "tracks", ["track_id", "uri", "title", "artist"])
    made_of = mark(found, backend, (clusters, tracks), known, config)
    if tables.made_of(workspace, "tags") == made_of and not config.replace:
        run.skipped = len(found)
        run.note = summary(tables.read(workspace, "tags", ["vocalist", "source", "disagrees"]))
        return
    if without := set(known) - set(found.track_ids):
        run.say(f"{len(without)} known tracks have no voice (instrumental, silent or failed) and cannot be used")
    credits = of_catalogue(tracks, known.values())
    once = recordings(found, clusters["same_recording"], credits, known)
    those, theirs = found[once.rows], clusters.iloc[once.rows]
    near = None
    if len(those) > neighbours.EXACT and tag.are_many(known, credits, config.tag):
        near = once.near(kept.nearest(workspace, found, backend, in_tasks))
    del found  # as large as those
    backend = centred(those, backend)
    clips = voices.read_clips(workspace, those, known)
    tags = tag.tag_voices(those, backend, theirs, known, credits, config.tag, clips, near)
    asked = review.with_names(review.to_review(those, backend, theirs, known, tags, config.tag), tags, credits)
    tags = tag.of_all_files(tags, once, clusters)
    for doubt, track_ids in tags.rows.groupby("doubt")["track_id"]:
        told = ", ".join(track_ids[:SHOWN]) + (", …" if len(track_ids) > SHOWN else "")
        run.say(f"{len(track_ids)} known tracks {tag.DOUBTS[str(doubt)]}: {told}")
    tables.replace(workspace, "candidates", tags.candidates)
    starts = review.starts(workspace, asked["track_id"])
    tables.replace(workspace, "review", review.with_files(asked, tracks, starts))
    tables.replace(workspace, "tags", tag.with_files(tags.rows, tracks), made_of)  # last: now all is there
    run.done = len(tags.rows)
    run.note = summary(tags.rows)


def clusters_of(found: voices.Voices, workspace: Workspace, say: Callable[[str], None]) -> pd.DataFrame:
    """Return the columns `CLUSTERS` of each voice, and print which of the voices or clusters are too new or too old."""
    clusters = tables.read(workspace, "clusters", CLUSTERS).set_index("track_id")
    if late := int((clusters.index.get_indexer(found.track_ids) < 0).sum()):
        say(f"{late} voices came after clustering and are in no cluster: run the cluster stage to place them")
    clusters = clusters.reindex(found.track_ids).fillna({"cluster_id": NOISE, "probability": 0.0}).reset_index()
    if nameless := int((clusters["voice"].isna() & (clusters["cluster_id"] != NOISE)).sum()):
        say(f"{nameless} tracks are in clusters without a name (from version 0.1): run the cluster stage")
    return clusters


def mark(
    found: voices.Voices,
    backend: Backend,
    frames: Iterable[pd.DataFrame],
    known: dict[str, str],
    config: Config,
) -> str:
    """Return a mark of all that tags are made of: voices, calibration, tables, known names and settings.

    The rows that were read of a table are hashed, since its files may be written anew with the same rows.
    """
    digest = hashlib.blake2b(digest_size=16)
    settings = [config.tag.model_dump(mode="json"), config.seed, sorted(known.items()), version("vocatlas")]
    digest.update("\n".join([*found.track_ids, json.dumps(settings)]).encode())
    for values in (found.means, found.seconds, *(pd.util.hash_pandas_object(frame).to_numpy() for frame in frames)):
        digest.update(np.ascontiguousarray(values).data)
    digest.update(backend.to_bytes())
    return digest.hexdigest()


def recordings(found: voices.Voices, stands_for: pd.Series, credits: pd.DataFrame, known: dict[str, str]) -> same.Once:
    """Return the voices with each recording counted once.

    Args:
        found: (n,) voices.
        stands_for: (n,) the track that counts for the recording, null for a track that counts for itself.
        credits: `track_id` and `key`, a row per track and credited person.
        known: track_id -> vocalist.
    """
    ids = pd.Series(found.track_ids)
    stands_for = stands_for.fillna(ids)
    several = ids.where(stands_for.duplicated(keep=False))  # of other recordings the credits do not matter
    credited = credits[credits["track_id"].isin(several.dropna())].sort_values("key")
    credited = credited.groupby("track_id")["key"].agg("\n".join)
    return same.once(
        stands_for.to_numpy(),
        found.seconds,
        several.map(credited).astype(object).fillna("").tolist(),
        [known.get(track_id) for track_id in found.track_ids],
    )


def known_names(path: str | None, workspace: Workspace, say: Callable[[str], None]) -> dict[str, str]:
    """Return the known names by track, and print which of them cannot be used.

    Raises:
        ConfigError: the file of known names cannot be read.
    """
    if path is None:
        say("no known names (known=known.csv): clusters alone name the tracks")
        return {}
    found = match_known(read_known(path), path, tables.read(workspace, "files", ["uri", "track_id"]))
    for remark in found.remarks:
        say(remark)
    return found.vocalists


def summary(tags: pd.DataFrame) -> str:
    """Return the result of tagging in one sentence."""
    count = tags["source"].value_counts()

    def vocalists(source: str) -> int:
        return tags.loc[tags["source"] == source, "vocalist"].nunique()

    return (
        f"{count.get('enrolled', 0)} tracks by {vocalists('enrolled')} known vocalists, "
        f"{count.get('credited', 0)} by {vocalists('credited')} credited ones, {count.get('cluster', 0)} in "
        f"{vocalists('cluster')} unnamed clusters, {count.get('unknown', 0)} unknown; "
        f"{int(tags['disagrees'].sum())} credits are very likely wrong"
    )


STAGE = engine.Stage(
    name="tag",
    about="Name the vocalist of every track, from a few known names and the clusters.",
    needs={"voices": "embed", "clusters": "cluster"},
    check=lambda config: config.known and read_known(config.known),
    work=work,
)

if __name__ == "__main__":
    sys.exit(engine.main(STAGE))
