"""Measure what is learned from a catalogue without labels (`train.method: linear`), and how often its test is right.

    python -m jobs.bench.teach [--audio AUDIO] [--vectors VECTORS] [--workspace workspace/answers]

AUDIO and VECTORS are what `jobs.bench.answers` takes, with the same workspaces, so that what is embedded there is used;
`AUDIO/speech/<speaker>.ogg` is cut in two. Released songs are scored with a back-end fitted on one half of the singers
and measured on the other, both ways round; all else with the shipped one, which was fitted on neither. Prints Markdown.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import soundfile

from encoder import DEFAULT
from jobs.bench import answers as bench
from jobs.bench import singers
from jobs.bench.singers import Catalogue
from pipeline.evaluate import answers
from pipeline.scoring import metrics, teaching, witness
from pipeline.scoring.backend import FILE, Backend
from pipeline.scoring.centre import centred
from pipeline.scoring.evidence import Evidence
from pipeline.scoring.scatter import scatter
from pipeline.scoring.scores import unit
from pipeline.scoring.teaching import Grouping, Lesson
from pipeline.sections import TagConfig

SPEAKERS = 60
DRAWS = 20  # sub-catalogues of each kind on which the test is tested
HARM = 1.03  # times the error from which teaching counts as harm
UNSEEN = ("ariel", "leon", "stool", "titon")  # karaoke singers that the shipped encoder was never trained on


class Case(NamedTuple):
    """A catalogue, the back-end before it teaches, and the tracks (n,) bool that are measured."""

    catalogue: Catalogue
    backend: Backend
    measured: np.ndarray


@dataclass(frozen=True)
class Pairs:
    """Cosines of pairs of tracks or clips, and whether both are one singer's."""

    cosine: np.ndarray
    same: np.ndarray


def pairs(backend: Backend, vectors: np.ndarray, singer: np.ndarray, track: np.ndarray) -> Pairs:
    """Return the pairs of rows of different tracks, from `vectors (n, d)` with `singer (n,)` and `track (n,)`."""
    normed = unit((vectors - backend.mean) @ backend.matrix)
    left, right = np.triu_indices(len(vectors), 1)
    kept = track[left] != track[right]
    left, right = left[kept], right[kept]
    return Pairs((normed @ normed.T)[left, right], singer[left] == singer[right])


def clips_of(catalogue: Catalogue) -> teaching.Scatter:
    """Return how a catalogue's clips lie around their tracks' means."""
    return scatter(catalogue.clips.vectors, catalogue.clips.track)


def taught(case: Case, credited: np.ndarray | None = None, grouping: Grouping = witness.likeliest) -> Lesson:
    """Return what a catalogue teaches.

    Args:
        case: the catalogue and its back-end.
        credited: (n,) bool, tracks that bear their singers' names; None for none.
        grouping: how the tracks are grouped.
    """
    credit = None if credited is None else np.where(credited, case.catalogue.singer, "")
    voices, heard = case.catalogue.voices, case.catalogue.heard
    own = heard.of(teaching.teachers(voices, case.backend))
    return teaching.learn(voices, case.backend, clips_of(case.catalogue), own, credit, grouping)


def merged(evidence: Evidence, backend: Backend) -> np.ndarray:
    """Return the groups (n,) of the likeliest partition; every fourth one of several tracks has taken in another."""
    group = witness.likeliest(evidence, backend)
    names, count = np.unique(group, return_counts=True)
    several = np.random.default_rng(0).permutation(names[count > 1])
    for first, second in zip(several[::4], several[1::4], strict=False):
        group = np.where(group == second, first, group)
    return group


def shuffled(evidence: Evidence, backend: Backend) -> np.ndarray:
    """Return groups (n,) of the sizes of the likeliest partition's, with tracks drawn at random."""
    return np.random.default_rng(0).permutation(witness.likeliest(evidence, backend))


GROUPINGS = {"the likeliest": witness.likeliest, "some merged": merged, "shuffled": shuffled}


def row(case: Case, backend: Backend) -> list[float]:
    """Return the columns of the table for the measured tracks, in percent; NaN for what they cannot define."""
    found = case.catalogue.part(case.measured)
    clusters = bench.cluster_voices(case.catalogue.voices, backend, bench.MAP)
    group = clusters["cluster_id"].to_numpy()[case.measured]
    here = centred(case.catalogue.voices, backend)
    return [*alike(here, found), 100 * metrics.bcubed(found.singer, group).f1, *named(case, backend, clusters)]


def named(case: Case, backend: Backend, clusters: pd.DataFrame) -> list[float]:
    """Return how many of the names that are given are right, and how many of those that could be are given.

    Half of the measured singers with two tracks or more are known by one, several times over.
    """
    rng, (voices, _, singer) = np.random.default_rng(1), vars(case.catalogue).values()
    who, count = np.unique(singer[case.measured], return_counts=True)
    several, asked = who[count > 1], []
    for _ in range(bench.DRAWS if len(several) > 1 else 0):
        chosen = rng.permutation(several)[: len(several) // 2]
        given = np.array([rng.choice(np.flatnonzero(singer == name)) for name in chosen])
        every, _ = answers.ask(voices, singer, given, clusters, backend, TagConfig(), case.catalogue.heard)
        kept = np.isin(every.singer, who)
        asked.append(answers.Asked(*(values[kept] for values in vars(every).values())))
    if not asked:
        return [np.nan, np.nan]
    found = answers.measures(answers.Asked.joined(asked))
    return [100 * found["named_right"], 100 * found["named"]]


def centred_only(case: Case) -> list[float]:
    """Return the row of the encoder's own cosines, centred; they are no evidence for groups and names."""
    here = centred(case.catalogue.voices, case.backend)
    found = case.catalogue.part(case.measured)
    return [*alike(replace(here, matrix=np.eye(len(here.mean))), found), np.nan, np.nan, np.nan]


def alike(backend: Backend, found: Catalogue) -> list[float]:
    """Return the equal-error rates of clips and of tracks, and the part of tracks whose nearest is by their singer."""
    _, at, count = np.unique(found.singer, return_inverse=True, return_counts=True)
    if len(count) < 2 or count.max() < 2:
        return [np.nan] * 3
    track = found.clips.track
    clips = pairs(backend, found.clips.vectors, found.singer[track], track)
    tracks = pairs(backend, found.voices.means, found.singer, np.arange(len(at)))
    normed = unit((found.voices.means - backend.mean) @ backend.matrix)
    cosine = normed @ normed.T
    np.fill_diagonal(cosine, -2)
    nearest = (at[cosine.argmax(1)] == at)[count[at] > 1].mean()
    return [100 * metrics.eer(clips.cosine, clips.same), 100 * metrics.eer(tracks.cosine, tracks.same), 100 * nearest]


def shipped() -> Backend:
    """Return the back-end that ships."""
    return Backend.from_bytes((DEFAULT / FILE).read_bytes())


def released(vectors: Path) -> list[Case]:
    """Return the released songs, once for each half of the singers that is measured."""
    (catalogue,) = singers.released(vectors).values()
    halves = singers.halves(catalogue.singer)
    return [
        Case(catalogue, bench.fitted([catalogue.part(halves[1 - way])], shipped().encoder_id), halves[way])
        for way in (0, 1)
    ]


def whole(catalogue: Catalogue) -> list[Case]:
    """Return a catalogue all of whose tracks are measured, scored with the back-end that ships."""
    return [Case(catalogue, shipped(), np.ones(len(catalogue.singer), bool))]


def sung(source: Path, workspace: Path) -> dict[str, list[Case]]:
    """Return karaoke with and without previews and in pieces, and the catalogues on which teaching must do no harm."""
    found = singers.sung(source, workspace)
    together, karaoke = found["karaoke with previews"], found["karaoke"]
    unseen = np.isin(together.singer, UNSEEN)
    few = np.random.default_rng(0).permutation(len(karaoke.singer)) < 30
    singer, songs = np.unique(karaoke.singer, return_counts=True)
    return {
        **{name: whole(catalogue) for name, catalogue in found.items()},
        "karaoke with previews, the unseen four": [Case(together, shipped(), unseen)],
        "one singer": whole(karaoke.part(karaoke.singer == singer[songs.argmax()])),
        "30 tracks": whole(karaoke.part(few)),
        "speech": whole(spoken(source / "speech", workspace)),
    }


def spoken(folder: Path, workspace: Path) -> Catalogue:
    """Return the halves of speakers' recordings."""
    cut, rows = workspace.with_name(workspace.name + "-speech"), []
    for path in sorted(folder.glob("*.ogg"))[:SPEAKERS]:
        wave, rate = soundfile.read(path, dtype="float32")
        for i, piece in enumerate(np.array_split(wave, 2)):
            cut.mkdir(parents=True, exist_ok=True)
            soundfile.write(cut / f"{path.stem}-{i}.flac", piece, rate)
            rows.append({"uri": str(cut / f"{path.stem}-{i}.flac"), "singer": path.stem})
    return singers.embedded(workspace / "speech", cut, pd.DataFrame(rows))


def draws(kinds: list[Case]) -> Iterator[Case]:
    """Yield sub-catalogues: some of the singers with several tracks, and some of the strangers."""
    rng = np.random.default_rng(0)
    for draw in range(DRAWS):
        case = kinds[draw % len(kinds)]
        part = case.catalogue.part(case.measured)
        names, count = np.unique(part.singer, return_counts=True)
        several, one = rng.permutation(names[count > 1]), rng.permutation(names[count == 1])
        if len(several) > 2:
            chosen = [*several[: rng.integers(3, len(several) + 1)], *one[: rng.integers(0, len(one) + 1)]]
            drawn = part.part(np.isin(part.singer, chosen))
            yield Case(drawn, case.backend, np.ones(len(drawn.singer), bool))


def test_of_the_test(cases: dict[str, list[Case]]) -> None:
    """Print how often the test without labels agrees with the labels, for right groups and for wrong ones."""
    print("\n| the test without labels | groups | learned | says yes | right | harm | harm without the test |")
    print("|---|---|---|---|---|---|---|")
    for name, kinds in cases.items():
        for title, grouping in GROUPINGS.items():
            rows = [judged(case, grouping) for case in draws(kinds)]
            tried = np.array([row for row in rows if row])
            if len(tried):
                yes, before, after = tried[:, 0] > 0, tried[:, 1], tried[:, 2]
                right, harm = np.where(yes, after <= before, after >= before), after > HARM * before
                cells = " | ".join(f"{values.mean():.0%}" for values in (yes, right, yes & harm, harm))
                print(f"| {name} | {title} | {len(tried)} of {len(rows)} | {cells} |", flush=True)


def judged(case: Case, grouping: Grouping) -> tuple[bool, float, float] | None:
    """Return whether the test says yes, and the tracks' true equal-error rates before and after, in percent."""
    lesson = taught(case, grouping=grouping)
    if not lesson.groups:
        return None
    found = [centred(case.catalogue.voices, backend) for backend in (case.backend, lesson.backend)]
    before, after = (alike(here, case.catalogue)[1] for here in found)
    return lesson.better, before, after


def measure(cases: dict[str, list[Case]]) -> None:
    """Print the table of all catalogues, as shipped and as taught; nan is what cannot be measured there.

    "With credits", half of the measured singers have their true name on every track, and the others are measured; the
    row above it is measured on those others too.
    """
    print("| catalogue | | used | clips EER | tracks EER | nearest track | B-cubed F1 | names right | named |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, kinds in cases.items():
        other = [without_credits(case) for case in kinds]
        _print(name, "centred", [centred_only(case) for case in kinds])
        _print(name, "shipped", [row(case, case.backend) for case in kinds])
        _print(name, "linear", *rows_of(kinds, [taught(case) for case in kinds]))
        _print(name, "linear, those without credits", *rows_of(other, [taught(case) for case in kinds]))
        lessons = [taught(case, case.measured & ~rest.measured) for case, rest in zip(kinds, other, strict=True)]
        _print(name, "linear with credits, those without", *rows_of(other, lessons))


def without_credits(case: Case) -> Case:
    """Return the case with only one half of its measured singers measured."""
    names = np.random.default_rng(0).permutation(np.unique(case.catalogue.singer[case.measured]))
    return case._replace(measured=case.measured & np.isin(case.catalogue.singer, names[::2]))


def rows_of(cases: list[Case], lessons: list[Lesson]) -> tuple[list[list[float]], str]:
    """Return the rows of what was learned, where it is better, and whether it is."""
    found = [
        row(case, lesson.backend if lesson.better else case.backend)
        for case, lesson in zip(cases, lessons, strict=True)
    ]
    return found, ", ".join("yes" if lesson.better else "no" for lesson in lessons)


def _print(name: str, title: str, rows: list[list[float]], used: str = "") -> None:
    cells = " | ".join(f"{value:.2f}" for value in np.nanmean(rows, axis=0))
    print(f"| {name} | {title} | {used} | {cells} |", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, run and print."""
    return singers.command("teach", __doc__, run, argv)


def run(source: Path | None, vectors: Path | None, workspace: Path) -> int:
    """Measure what there is to measure; return the exit status."""
    cases = ({"released songs": released(vectors)} if vectors else {}) | (sung(source, workspace) if source else {})
    measure(cases)
    test_of_the_test({name: kinds for name, kinds in cases.items() if not name.endswith("four")})
    return 0


if __name__ == "__main__":
    sys.exit(main())
