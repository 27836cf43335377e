"""Group the voices into vocalists and place them on a map: `clusters/`, `voice_tracks/`, `voice_changes/`."""

import sys

import numpy as np

from jobs import engine
from jobs.tasks import in_tasks
from pipeline.config import Config
from pipeline.people import lasting
from pipeline.scoring import kept, neighbours, same, voices
from pipeline.scoring.metrics import NOISE
from pipeline.stages import cluster
from pipeline.store import provenance, tables
from pipeline.store.workspace import Workspace

SHOWN = ["track_id", "cluster_id", "voice", "probability"]  # columns that tell what is there


def work(config: Config, run: engine.Run) -> None:
    """Group the voices into vocalists and place them on a map."""
    # The whole table costs little to compute: another setting or calibration replaces it, and the tags made from it.
    decided = {"seed": config.seed, "calibration": voices.scored_by(run.workspace)}
    provenance.claim(run.workspace, config.model_copy(update={"replace": True}), "cluster", **decided)
    clusters = tables.read(run.workspace, "clusters", SHOWN)
    named = clusters["voice"].notna() | (clusters["cluster_id"] == NOISE)
    if set(clusters["track_id"]) == present(run.workspace) and named.all():
        run.skipped = len(clusters)
    else:
        found, backend = voices.read(run.workspace)
        run.say(f"{len(found)} voices")
        if not voices.is_calibrated(run.workspace, backend.encoder_id):
            run.say(
                f"the encoder {backend.encoder_id} has no calibration: probabilities are a guess "
                "(make calibrate measures them on tracks whose singer is known)"
            )
        near = kept.nearest(run.workspace, found, backend, in_tasks)
        counts = same.find(run.workspace, found, near)
        once = same.Once(*np.unique(counts, return_inverse=True))
        around: np.ndarray | None = near
        if copies := len(found) - len(once.rows):
            run.say(f"{copies} tracks are further files of a recording that is there already: it counts once")
            few = len(once.rows) <= neighbours.EXACT  # are compared again, so that copies do not displace neighbours
            around = None if few else once.near(near)
        clusters = cluster.cluster_voices(found[once.rows], backend, config.cluster, config.seed, around)
        clusters = once.expanded(clusters, found.track_ids)
        clusters["same_recording"] = same.same_recording(found.track_ids, counts)
        clusters["voice"], changes = lasting.named(run.workspace, clusters["track_id"], clusters["cluster_id"])
        if len(changes):
            run.say(lasting.describe(changes))
        tables.replace(run.workspace, "clusters", clusters)
        run.done = len(found)
    run.note = cluster.describe(clusters)


def present(workspace: Workspace) -> set[str]:
    """Return the ids of the tracks in the catalogue that have a voice, read without the vectors."""
    voiced, tracks = tables.keys(workspace, "voices", "track_id"), tables.present_tracks(workspace)
    return voiced if tracks is None else voiced & tracks


STAGE = engine.Stage(
    name="cluster",
    about="Group the voices into vocalists and place them on a map.",
    needs={"voices": "embed"},
    work=work,
)

if __name__ == "__main__":
    sys.exit(engine.main(STAGE))
