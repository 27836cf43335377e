"""What a catalogue teaches a scoring back-end without labels: which differences between recordings mean nothing.

The back-end that comes with an encoder is normalised by how the clips of a track differed in other recordings. This
catalogue shows how its own clips differ within a track, and how its tracks differ within the groups of its likeliest
partition into vocalists. Each of these covariances weighs as much as its degrees of freedom deserve, so that a small
catalogue changes little; a group counts with the root of its tracks, so that one that is large, or wrong, does not
dominate. The result is a linear map of the encoder's vectors.

A test without labels tells whether the map is better (`pipeline.scoring.witness`): another map is learned from every
other clip of each track, and tested on what did not teach it.

`pipeline.scoring.adapted` says how the numbers of the score follow.

Hatch, Kajarekar, Stolcke: "Within-class covariance normalization for SVM-based speaker recognition" (Interspeech
2006). Garcia-Romero et al.: "Unsupervised domain adaptation for i-vector speaker recognition" (Odyssey 2014).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from pipeline.scoring.adapted import adapted_numbers, as_long, normalisation
from pipeline.scoring.backend import Backend
from pipeline.scoring.centre import centred
from pipeline.scoring.evidence import Evidence
from pipeline.scoring.scatter import Scatter, scatter
from pipeline.scoring.voices import Clips, Voices
from pipeline.scoring.witness import Errors, likeliest, look_alikes, tested, witnesses

CLIPS, TRACKS = 2000, 100  # degrees of freedom at which the catalogue's own covariance weighs half
POWER = 0.5  # of a group's degrees of freedom with which it counts
FEWEST = 8  # groups of several tracks; from fewer, nothing is learned
LEAST_S = 15.0  # of singing in the tracks that are learned from; shorter ones are too uncertain

Grouping = Callable[[Evidence, Backend], np.ndarray]


def with_credits(group: np.ndarray, credit: np.ndarray, evidence: Evidence, backend: Backend) -> np.ndarray:
    """Return the groups (n,) with the tracks under one credit as one group, as far as their voices confirm it.

    Args:
        group: (n,) found by voice.
        credit: (n,) the person that each track credits, "" for none or several.
        evidence: of the tracks.
        backend: to score with.
    """
    names, at = np.unique(credit, return_inverse=True)
    whole = evidence.summed(np.where(credit == "", -1, at), len(names))
    fits = (credit != "") & (backend.pairs(evidence, whole[at] - evidence) > 0)
    return np.where(fits, group.max(initial=-1) + 1 + at, group)


def teachers(voices: Voices, backend: Backend, seed: int = 0) -> np.ndarray:
    """Return the rows of the tracks to learn from: all that are long enough, or a sample with its look-alikes."""
    rows = np.flatnonzero(voices.seconds >= LEAST_S)
    evidence = centred(voices, backend).evidence(voices.means[rows], voices.seconds[rows])
    return rows[look_alikes(evidence, np.random.default_rng(seed))]


@dataclass(frozen=True)
class Half:
    """Every other clip of some tracks.

    Attributes:
        means: (n, d) of each track's clips.
        seconds: (n,) of each track's clips together.
        clips: their scatter.
    """

    means: np.ndarray
    seconds: np.ndarray
    clips: Scatter


def halves(clips: Clips) -> tuple[Half, Half, np.ndarray]:
    """Return the tracks that have several clips as two halves, and their rows (n,): the clips alternate."""
    order = np.lexsort((clips.start_s, clips.track))
    track = clips.track[order]
    even = (np.arange(len(track)) - np.searchsorted(track, track)) % 2 == 0
    rows = np.intersect1d(track[even], track[~even])
    order, even = order[np.isin(track, rows)], even[np.isin(track, rows)]
    return _half(clips, order[even], rows), _half(clips, order[~even], rows), rows


def _half(clips: Clips, kept: np.ndarray, rows: np.ndarray) -> Half:
    at, vectors, seconds = np.searchsorted(rows, clips.track[kept]), clips.vectors[kept], clips.seconds[kept]
    total, sums = np.bincount(at, seconds, minlength=len(rows)), np.zeros((len(rows), vectors.shape[1]))
    np.add.at(sums, at, vectors * seconds[:, None])
    return Half(sums / np.maximum(total, 1e-12)[:, None], total, scatter(vectors.astype(float), at))


@dataclass(frozen=True)
class Lesson:
    """What a catalogue has taught.

    Attributes:
        backend: with the new normalisation and numbers; unchanged if nothing was learned.
        better: whether the test says so; only then is `backend` to be used.
        why: the reason, in one sentence for people.
        clips: degrees of freedom within tracks.
        tracks: degrees of freedom within groups.
        groups: number of groups of several tracks.
        errors: of the test; NaN if it was not made.
    """

    backend: Backend
    better: bool
    why: str
    clips: int = 0
    tracks: int = 0
    groups: int = 0
    errors: Errors = field(default_factory=Errors)

    @property
    def measured(self) -> dict[str, float]:
        """The numbers, by name."""
        return {"clips": self.clips, "tracks": self.tracks, "groups": self.groups, **self.errors._asdict()}


def learn(
    voices: Voices,
    backend: Backend,
    clips: Scatter,
    own: Clips,
    credit: np.ndarray | None = None,
    grouping: Grouping = likeliest,
    seed: int = 0,
) -> Lesson:
    """Return what a catalogue teaches its back-end.

    Args:
        voices: of the catalogue.
        backend: that came with the encoder.
        clips: scatter of all clips around their tracks' means.
        own: the clips of the tracks to learn from (see `teachers`).
        credit: (n,) the person that each track credits, "" for none or several; None to use only voices.
        grouping: how the tracks are grouped.
        seed: of the random sample of a large catalogue that is tested on.
    """
    here, rows = centred(voices, backend), np.unique(own.track)
    means, seconds = voices.means[rows].astype(float), voices.seconds[rows]

    def groups(means: np.ndarray, seconds: np.ndarray, rows: np.ndarray) -> np.ndarray:
        evidence = here.evidence(means, seconds)
        group = grouping(evidence, here)
        return group if credit is None else with_credits(group, credit[rows], evidence, here)

    group = groups(means, seconds, rows)
    several = of_several(group)
    if several < FEWEST:
        return Lesson(backend, False, too_little(several))
    first, second, both = halves(own)
    tried = mapped(here, first.means, groups(first.means, first.seconds, both), first.clips)
    untaught = Voices(voices.track_ids, voices.means.copy(), voices.seconds.copy())
    untaught.means[both], untaught.seconds[both] = second.means, second.seconds
    asked = witnesses(untaught, here, both, seed)
    errors = tested(here, untaught[asked], np.isin(asked, both), tried, untaught.means[asked])
    new = mapped(here, means, group, clips)
    witness = likeliest(here.evidence(means, seconds), here)
    taught = replace(backend, matrix=new.matrix, numbers=adapted_numbers(here, means, new, means, witness))
    return lesson_of(taught, errors, clips, scatter(means, group), several)


def mapped(backend: Backend, means: np.ndarray, group: np.ndarray, clips: Scatter) -> Backend:
    """Return the back-end normalised by the scatter of tracks (n, d) in their `group (n,)`, and that of clips."""
    within = scatter(means, group, POWER)
    new = replace(backend, matrix=normalisation(backend.matrix, (clips, CLIPS), (within, TRACKS)))
    return as_long(backend, means, new, means)


def of_several(group: np.ndarray) -> int:
    """Return how many groups have several tracks, from each track's `group (n,)`."""
    return int((np.unique(group, return_counts=True)[1] > 1).sum())


def too_little(several: int) -> str:
    """Return the reason for learning nothing from so few groups of several tracks."""
    found = f"{several} vocalists with several tracks were found"
    return f"there is too little to learn from: {found}, and {FEWEST} are needed"


def lesson_of(taught: Backend, errors: Errors, clips: Scatter, tracks: Scatter, groups: int) -> Lesson:
    """Return a lesson, from the equal-error rates before and after it; the other arguments as in `Lesson`."""
    why = (
        f"in clips that did not teach, {errors.before:.2%} of pairs of tracks are told wrongly before and "
        f"{errors.after:.2%} after; with all other tracks, {errors.all_before:.2%} and {errors.all_after:.2%}"
    )
    return Lesson(taught, errors.better, why, int(clips.degrees), int(tracks.degrees), groups, errors)
