"""What a network learns without labels in one, two and three rounds (`train.recipe=groups`), measured with labels.

    python -m jobs.bench.rounds --audio AUDIO [--workspace workspace/answers]

AUDIO is what `jobs.bench.teach` takes, with the same workspaces; on each of its catalogues the network is trained and
measured. Every round is measured, whether or not the test without labels would keep its encoder. "With credits" is as
in `jobs.bench.teach`: half of the singers bear their true names, and the others are measured. Prints Markdown.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from encoder.training.config import TrainConfig
from encoder.training.data import ClipShards
from encoder.training.state import finished
from jobs import engine, frames, grouped
from jobs.bench import singers, teach
from jobs.bench.singers import Catalogue
from jobs.bench.teach import Case
from jobs.connect import start_ray
from jobs.grouped import Round
from jobs.train import start_of
from pipeline.config import Config
from pipeline.sections import fingerprint
from pipeline.store import tables
from pipeline.store.workspace import Workspace

PLACES = {"karaoke in pieces of 30 s": "30s", "karaoke in pieces of 10 s": "10s", "speech": "speech"}  # others: "whole"


def clips_of(source: Workspace, place: Path, catalogue: Catalogue) -> Workspace:
    """Return a workspace that holds the clips of a catalogue's tracks and nothing else."""
    workspace, wanted = Workspace(place), pa.array(catalogue.voices.track_ids.tolist())
    if not tables.parts(workspace, "clips"):
        for part in tables.parts(source, "clips"):
            rows = tables.read_part(source, part)
            kept = rows.filter(pc.is_in(rows["track_id"], wanted))
            if len(kept):
                tables.write(workspace, "clips", kept, Path(part).stem.removeprefix("part-"))
    return workspace


def trained(
    case: Case, workspace: Workspace, train: TrainConfig, credited: np.ndarray | None = None
) -> Iterator[tuple[Round, Case]]:
    """Yield each round, with the case as the new encoder hears it.

    Args:
        case: before training.
        workspace: with its clips.
        train: how, and in how many rounds.
        credited: (n,) bool, tracks that bear their singers' names.
    """
    run = engine.Run("train", Config(workspace=workspace.root))
    start, singer = start_of(workspace, train), case.catalogue.singer
    shards = frames.keep(workspace, start)
    before = frames.hear(workspace, shards, start)
    credit = None if credited is None else np.where(credited, singer, "")
    name = fingerprint("bench", train.content(), credit is None)
    for found in grouped.rounds(run, train, name, start.encoder_id, before, shards, credit):
        if found.checkpoint is not None:
            with found.checkpoint.as_directory() as folder:
                model, _ = finished(folder)
            opened = ClipShards.open([workspace.path(shard) for shard in shards], workspace.fs)
            clips = replace(frames.embedded(opened, model)[0], singer=singer)
            heard = Catalogue(found.heard.voices, clips, singer)
            yield found, case._replace(catalogue=heard, backend=found.lesson.backend)
        else:
            yield found, case


def measured_of(case: Case) -> dict[str, np.ndarray]:
    """Return the tracks (n,) bool that are measured, all and those of the singers whom no training saw."""
    unseen = np.isin(case.catalogue.singer, teach.UNSEEN)
    return {"": case.measured} | ({", the unseen four": unseen} if unseen.any() and not unseen.all() else {})


def measure(name: str, case: Case, workspace: Workspace, train: TrainConfig) -> None:
    """Print a catalogue's rows of the table; nan is what cannot be measured there."""
    for title, measured in measured_of(case).items():
        show(name + title, "shipped", "", case._replace(measured=measured))
    best, trains = np.inf, False
    for found, heard in trained(case, workspace, train):
        kept = found.lesson.better and found.lesson.after < best
        best, trains = found.lesson.after if kept else -np.inf, found.checkpoint is not None
        for title, measured in measured_of(case).items():
            show(name + title, f"round {found.number}", kept, heard._replace(measured=measured))
        if found.number == 1:
            show(name, "round 1, those without credits", kept, teach.without_credits(heard))
    if trains:
        credited = case.measured & ~teach.without_credits(case).measured
        for found, heard in trained(case, workspace, train.model_copy(update={"rounds": 1}), credited):
            show(name, "round 1 with credits, those without", found.lesson.better, teach.without_credits(heard))


def show(name: str, title: str, kept: bool | str, case: Case) -> None:
    """Print a row: the catalogue, what scores it, whether it would be kept, and the columns."""
    cells = " | ".join(f"{value:.2f}" for value in teach.row(case, case.backend))
    print(f"| {name} | {title} | {'yes' if kept is True else 'no' if kept is False else kept} | {cells} |", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, run and print."""
    return singers.command("rounds", __doc__, run, argv)


def run(source: Path | None, vectors: Path | None, workspace: Path) -> int:
    """Train and measure on each catalogue of recordings; return the exit status."""
    train = TrainConfig(recipe="groups", rounds=3)
    cases = teach.sung(source, workspace) if source else {}
    start_ray()
    print("| catalogue | | kept | clips EER | tracks EER | nearest track | B-cubed F1 | names right | named |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, (case, *_) in cases.items():
        if not name.endswith("four"):
            place = Workspace(workspace / PLACES.get(name, "whole"))
            measure(name, case, clips_of(place, workspace / "rounds" / name.replace(" ", "-"), case.catalogue), train)
    return 0


if __name__ == "__main__":
    sys.exit(main())
