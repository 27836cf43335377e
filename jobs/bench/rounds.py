"""What a network learns without labels in one, two and three rounds (`train.recipe=groups`), measured with labels.

    python -m jobs.bench.rounds --audio AUDIO [--workspace workspace/answers]

AUDIO is what `jobs.bench.teach` takes, with the same workspaces; a network is trained and measured on each of its
catalogues. All rounds are measured, whether or not the test without labels would keep them; "and linear" is the linear
map that the catalogue teaches after the last round. "With credits" is as in `jobs.bench.teach`. At the end, the test
itself is tested on sub-catalogues, with right groups and with wrong ones. Prints Markdown. Frames and trainings stay
in the workspace, so that an interrupted run continues where it was.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

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
from pipeline.scoring import learned, teaching, witness
from pipeline.scoring.centre import centred
from pipeline.scoring.teaching import Grouping
from pipeline.sections import fingerprint
from pipeline.store import tables
from pipeline.store.parquet import parquet
from pipeline.store.workspace import Workspace

PLACES = {"karaoke in pieces of 30 s": "30s", "karaoke in pieces of 10 s": "10s", "speech": "speech"}  # others: "whole"
TESTED_ON = ("karaoke with previews", "karaoke", "karaoke in pieces of 30 s")
DRAWS = 3  # sub-catalogues of each of these
GROUPINGS = ("the likeliest", "shuffled")


def frames_of(workspace: Workspace, train: TrainConfig, catalogue: Catalogue) -> list[str]:
    """Return the files with the frames of a catalogue's tracks, and of no others."""
    ids, found = np.sort(catalogue.voices.track_ids.astype(str)), []
    for shard in frames.keep(workspace, start_of(workspace, train)):
        folder, _, name = shard.rpartition("/")
        part = f"{folder}-{fingerprint(ids.tolist())}/{name}"
        if not workspace.exists(part):
            rows = tables.read_part(workspace, shard, track_ids=ids)
            if not len(rows):
                continue
            workspace.write_bytes(part, parquet(rows, frames.ROW_GROUP, compression="none"))
        found.append(part)
    return found


def trained(
    case: Case,
    workspace: Workspace,
    train: TrainConfig,
    credited: np.ndarray | None = None,
    grouping: Grouping = witness.likeliest,
) -> Iterator[tuple[Round, Case]]:
    """Yield each round, with the case in the voices of the new encoder; none if there is too little to learn from.

    Args:
        case: before training.
        workspace: with its clips.
        train: settings, with the number of rounds.
        credited: (n,) bool, tracks that bear their singers' names.
        grouping: how the tracks are grouped.
    """
    voices, singer = case.catalogue.voices, case.catalogue.singer
    credit = None if credited is None else np.where(credited, singer, "")
    if learned.pseudo_singers(voices, voices, case.backend, credit, grouping)[1] < teaching.FEWEST:
        return
    run, start = engine.Run("train", Config(workspace=workspace.root)), start_of(workspace, train)
    shards = frames_of(workspace, train, case.catalogue)
    before = frames.hear(workspace, shards, start)
    name = fingerprint("bench", train.content(), credit is None, grouping.__name__, shards)
    for found in grouped.rounds(run, train, name, start.encoder_id, before, shards, credit, grouping):
        if found.checkpoint is not None:
            with found.checkpoint.as_directory() as folder:
                model, _ = finished(folder)
            opened = ClipShards.open([workspace.path(shard) for shard in shards], workspace.fs)
            clips = replace(frames.embedded(opened, model)[0], singer=singer)
            heard = Catalogue(found.heard.voices, clips, singer)
            yield found, case._replace(catalogue=heard, backend=found.lesson.backend)


def measured_of(case: Case) -> dict[str, np.ndarray]:
    """Return the tracks (n,) bool that are measured, all and those of the singers whom no training saw."""
    unseen = np.isin(case.catalogue.singer, teach.UNSEEN)
    return {"": case.measured} | ({", the unseen four": unseen} if unseen.any() and not unseen.all() else {})


def measure(name: str, case: Case, workspace: Workspace, train: TrainConfig) -> None:
    """Print a catalogue's rows of the table; nan is what cannot be measured there."""
    for title, measured in measured_of(case).items():
        show(name + title, "shipped", "", case._replace(measured=measured))
    best, last = np.inf, None
    for found, heard in trained(case, workspace, train):
        kept = found.lesson.better and found.lesson.errors.after < best
        best, last = found.lesson.errors.after if kept else -np.inf, heard
        for title, measured in measured_of(case).items():
            show(name + title, f"round {found.number}", kept, heard._replace(measured=measured))
        if found.number == 1:
            show(name, "round 1, those without credits", kept, teach.without_credits(heard))
    if last is None:
        return
    lesson = teach.taught(last)
    for title, measured in measured_of(case).items():
        taught = last._replace(measured=measured, backend=lesson.backend)
        show(name + title, "and linear", lesson.better, taught)
    credited = case.measured & ~teach.without_credits(case).measured
    for found, heard in trained(case, workspace, train.model_copy(update={"rounds": 1}), credited):
        show(name, "round 1 with credits, those without", found.lesson.better, teach.without_credits(heard))


def show(name: str, title: str, kept: bool | str, case: Case) -> None:
    """Print a row: the catalogue, what scores it, whether it would be kept, and the columns."""
    cells = " | ".join(f"{value:.2f}" for value in teach.row(case, case.backend))
    print(f"| {name} | {title} | {'yes' if kept is True else 'no' if kept is False else kept} | {cells} |", flush=True)


def test_of_the_test(name: str, case: Case, workspace: Workspace, train: TrainConfig) -> None:
    """Print what the test without labels says of a round on sub-catalogues, and what the labels say."""
    for number, drawn in enumerate(islice(teach.draws([case]), DRAWS)):
        for title in GROUPINGS:
            for found, heard in trained(drawn, workspace, train, grouping=teach.GROUPINGS[title]):
                yes = "yes" if found.lesson.better else "no"
                errors = f"{error_of(drawn):.2f} | {error_of(heard):.2f}"
                print(f"| {name}, {number + 1} | {title} | {yes} | {errors} |", flush=True)


def error_of(case: Case) -> float:
    """Return the equal-error rate of a case's tracks, in percent."""
    return teach.alike(centred(case.catalogue.voices, case.backend), case.catalogue)[1]


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, run and print."""
    return singers.command("rounds", __doc__, run, argv)


def run(source: Path | None, vectors: Path | None, workspace: Path) -> int:
    """Train and measure on each catalogue of recordings; return the exit status."""
    train = TrainConfig(recipe="groups", rounds=3, cpus=1)
    cases = {name: kinds[0] for name, kinds in (teach.sung(source, workspace) if source else {}).items()}
    cases = {name: case for name, case in cases.items() if not name.endswith("four")}
    places = {name: Workspace(workspace / PLACES.get(name, "whole")) for name in cases}
    start_ray()
    print("| catalogue | | kept | clips EER | tracks EER | nearest track | B-cubed F1 | names right | named |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, case in cases.items():
        measure(name, case, places[name], train)
    print("\n| the test without labels | groups | says yes | tracks EER before | after |\n|---|---|---|---|---|")
    for name in TESTED_ON if cases else ():
        test_of_the_test(name, cases[name], places[name], train.model_copy(update={"rounds": 1}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
