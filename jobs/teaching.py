"""Linear training (`train.method: linear`): the back-end learns from the vectors of the catalogue that it scores.

Ray tasks sum over `embeddings/`, a few parts each. What was learned is stored with the encoder that the workspace uses,
`encoders/<encoder_id>/taught-….safetensors`, where `cluster`, `tag` and `search` find it; the vectors do not change.
For use elsewhere, a copy of the encoder gets the same map.
"""

import tempfile
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import ray

from encoder.model import Encoder
from encoder.training import linear
from jobs import engine
from jobs.connect import start_ray
from pipeline.config import Config
from pipeline.people.credits import of_catalogue
from pipeline.scoring import adapted, scatter, teaching, voices
from pipeline.scoring.backend import FILE
from pipeline.scoring.scatter import Scatter
from pipeline.scoring.teaching import Lesson
from pipeline.scoring.voices import Voices
from pipeline.stages.encoders import load_encoder
from pipeline.store import tables
from pipeline.store.workspace import Workspace

TASKS = 64  # among which the parts are divided


def work(config: Config, run: engine.Run) -> None:
    """Learn from the catalogue's vectors, and use the result if the test says that it is better."""
    workspace, train = run.workspace, config.train
    engine.need(workspace, "voices", "embed")
    found, backend = voices.read(workspace, taught=False)
    run.say(f"learning from {len(found)} voices")
    clips = summed(config.workspace, found.means.shape[1])
    credit = sole_credits(workspace, found) if train.use_credits else None
    seed = train.seed + config.seed
    rows = teaching.teachers(found, backend, seed)
    own = voices.read_clips(workspace, found, set(found.track_ids[rows]))
    lesson = teaching.learn(found, backend, clips, own, credit, seed=seed)
    if not lesson.better:
        run.note = f"the scores stay as they were: {lesson.why}"
        return
    encoder_id = publish(config, lesson, found, clips)
    use(workspace, lesson)
    run.done, run.note = 1, f"{lesson.why}" + (f"; encoder {encoder_id}" if encoder_id else "")


def summed(root: str, dim: int) -> Scatter:
    """Return the scatter of all clips of the workspace at `root` around their tracks' means, summed by Ray tasks."""
    parts = tables.parts(Workspace(root), "embeddings")
    start_ray()
    task: Any = ray.remote(lambda names: scatter.of_clips(Workspace(root), names, dim))
    found = [task.remote(parts[start::TASKS]) for start in range(min(TASKS, len(parts)))]
    return reduce(add, ray.get(found), Scatter(np.zeros((dim, dim)), 0))


def sole_credits(workspace: Workspace, found: Voices) -> np.ndarray:
    """Return the person that each track credits (n,), "" for none or several."""
    tracks = tables.read(workspace, "tracks", ["track_id", "title", "artist"])
    credits = of_catalogue(tracks).drop_duplicates("track_id", keep=False)
    return credits.set_index("track_id")["key"].reindex(found.track_ids).fillna("").to_numpy(object)


def use(workspace: Workspace, lesson: Lesson) -> None:
    """Store what was learned for the workspace's scores; existing clusters have to be made again."""
    name, data = voices.taught_name(workspace, lesson.backend.encoder_id), lesson.backend.to_bytes()
    if not workspace.exists(name) or workspace.read_bytes(name) != data:
        workspace.write_bytes(name, data)
        tables.remove(workspace, "clusters")


def publish(config: Config, lesson: Lesson, found: Voices, clips: Scatter) -> str | None:
    """Put a copy of the encoder with the map in its head under `encoders/<encoder_id>/`, and return that id.

    There is none if the voices are not by the config's encoder, or if that has no head that can be changed.
    """
    workspace, start = Workspace(config.workspace), load_encoder(Workspace(config.workspace), config.embed.encoder)
    if not isinstance(start, Encoder) or start.encoder_id != lesson.backend.encoder_id:
        return None
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "encoder"
        encoder_id = linear.publish(start, lesson.backend.matrix, folder, lesson.measured, config.train.use_credits)
        own = adapted.for_mapped(lesson.backend, found, clips, encoder_id)
        (folder / FILE).write_bytes(own.to_bytes())
        put_encoder(workspace, folder, encoder_id)
    return encoder_id


def put_encoder(workspace: Workspace, folder: Path, encoder_id: str) -> None:
    """Put a finished encoder's folder under `encoders/<encoder_id>/`."""
    # metrics.json is written last, since with it the encoder counts as finished.
    files = sorted((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.name == "metrics.json")
    for path in files:
        workspace.put_file(path, f"encoders/{encoder_id}/{path.relative_to(folder).as_posix()}")
