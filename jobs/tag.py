"""Name the vocalist of every track, from a few known names and the clusters: `tags/`."""

import sys
from collections.abc import Callable

import pandas as pd

from jobs import engine
from pipeline.config import Config
from pipeline.people.known import match_known, read_known
from pipeline.stages import tag
from pipeline.stages.cluster import NOISE
from pipeline.store import provenance, tables
from pipeline.store.workspace import Workspace


def run(config: Config, run: engine.Run) -> None:
    """Name the vocalist of every track, from a few known names and the clusters."""
    workspace = run.workspace
    provenance.claim(workspace, config.model_copy(update={"replace": True}), "tag", seed=config.seed)
    frame, vectors = tables.read_voices(workspace)
    order = frame["track_id"].argsort().to_numpy()
    track_ids, vectors = frame["track_id"].to_numpy()[order], vectors[order]
    clusters = tables.read(workspace, "clusters", ["track_id", "cluster_id"]).set_index("track_id")["cluster_id"]
    cluster_ids = clusters.reindex(track_ids).fillna(NOISE).astype(int).to_numpy()
    if late := len(set(track_ids) - set(clusters.index)):
        run.say(f"{late} voices came after clustering and are in no cluster: run the cluster stage to place them")
    known = known_names(config.known, workspace, run.say)
    without = set(known) - set(track_ids)
    if without:
        run.say(f"{len(without)} known tracks have no voice (instrumental, silent or failed) and teach nothing")
    tags = tag.tag_voices(track_ids, vectors, cluster_ids, known, config.tag, config.seed)
    rows = tag.with_files(tags, tables.read(workspace, "tracks", ["track_id", "uri", "title", "artist"]), known)
    tables.replace(workspace, "tags", rows)
    run.done = len(rows)
    run.note = summary(rows)


def known_names(path: str | None, workspace: Workspace, say: Callable[[str], None]) -> dict[str, str]:
    """Return the known names by track, and say which of them cannot be used.

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
    """Return in one sentence what tagging found."""
    by_source = tags["source"].value_counts()
    voices = tags.loc[tags["source"] == "cluster", "vocalist"].nunique()
    return (f"{by_source.get('enrolled', 0)} tracks by {tags.loc[tags['source'] == 'enrolled', 'vocalist'].nunique()} "
            f"known vocalists, {by_source.get('cluster', 0)} in {voices} clusters, {by_source.get('unknown', 0)} "
            f"unknown, {int(tags['disagrees'].sum())} disagree with their artist tag")


STAGE = engine.Stage(
    name="tag",
    about="Name the vocalist of every track, from a few known names and the clusters.",
    needs={"voices": "embed", "clusters": "cluster"},
    check=lambda config: config.known and read_known(config.known),
    work=run,
)

if __name__ == "__main__":
    sys.exit(engine.main(STAGE))
