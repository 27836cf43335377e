"""Group the voices into vocalists and place them on a map: `clusters/`."""

import sys

from jobs import engine
from pipeline.config import Config
from pipeline.stages import cluster
from pipeline.store import provenance, tables


def run(config: Config, run: engine.Run) -> None:
    """Group the voices into vocalists and place them on a map."""
    # A whole table costs little to make again, so another setting simply replaces it, and the tags made from it.
    provenance.claim(run.workspace, config.model_copy(update={"replace": True}), "cluster", seed=config.seed)
    frame, vectors = tables.read_voices(run.workspace)
    order = frame["track_id"].argsort().to_numpy()
    track_ids, vectors = frame["track_id"].to_numpy()[order], vectors[order]
    if tables.keys(run.workspace, "clusters", "track_id") == set(track_ids):
        run.skipped = len(track_ids)
        found = tables.read(run.workspace, "clusters")
    else:
        run.say(f"{len(track_ids)} voices")
        found = cluster.cluster_voices(vectors, config.cluster, config.seed)
        tables.replace(run.workspace, "clusters", found.assign(track_id=track_ids))
        run.done = len(track_ids)
    run.note = cluster.describe(found, config.cluster)


STAGE = engine.Stage(
    name="cluster",
    about="Group the voices into vocalists and place them on a map.",
    needs={"voices": "embed"},
    work=run,
)

if __name__ == "__main__":
    sys.exit(engine.main(STAGE))
