"""What a catalogue teaches a scoring back-end without labels: which differences between recordings say nothing.

The back-end that an encoder brings is normalised by how clips of a track differed in other recordings. A catalogue
shows how its own clips differ within a track, and how its tracks differ within precise groups: average linkage, cut
where the groups hardly ever hold two vocalists. Each of the three covariances counts as much as was seen of it, so
that little to learn from changes little. What is learned is a linear map of the encoder's vectors.

A test without labels tells whether it is better. Its witness is the likeliest partition of the catalogue, found by all
of its evidence and not only by the pairs that taught: the map must tell its groups apart better than before. So it
is refused where the groups that taught had run together.

The numbers of the score follow from how the map moves cosines within the groups of that partition and between them.

Hatch, Kajarekar, Stolcke: "Within-class covariance normalization for SVM-based speaker recognition" (Interspeech
2006). Garcia-Romero et al.: "Unsupervised domain adaptation for i-vector speaker recognition" (Odyssey 2014).
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from pipeline.scoring import metrics
from pipeline.scoring.backend import Backend, Numbers
from pipeline.scoring.centre import centred
from pipeline.scoring.evidence import Evidence
from pipeline.scoring.groups import agglomerate
from pipeline.scoring.scatter import Scatter, scatter
from pipeline.scoring.scores import unit
from pipeline.scoring.voices import Voices

CUT = 0.55  # mean cosine of the groups that teach
CLIPS, TRACKS = 2000, 200  # degrees of freedom at which the catalogue's own covariance counts half
FEWEST = 8  # groups of several tracks from which anything is learned
LEAST_S = 20.0  # of singing in the tracks that teach and testify: the place of shorter ones is too uncertain
MOST = 3000  # tracks that teach: average linkage keeps all their pairs
NEAREST = 20  # look-alikes of each of the tracks that are drawn where there are more
LARGEST_SHARE = 0.9


def normalisation(matrix: np.ndarray, *seen: tuple[Scatter, float]) -> np.ndarray:
    """Return the matrix (d, d) that makes white what the one before, and what was seen since, say of differences.

    Args:
        matrix: (d, d) the normalisation before.
        seen: scatters, each with the degrees of freedom at which it counts as much as all before it.
    """
    covariance = _scaled(np.linalg.inv(matrix @ matrix))
    for found, half in seen:
        share = found.degrees / (found.degrees + half)
        covariance = (1 - share) * covariance + share * _scaled(found.squares)
    variance, axes = np.linalg.eigh(covariance)
    return (axes / np.sqrt(np.maximum(variance, 1e-6))) @ axes.T


def _scaled(covariance: np.ndarray) -> np.ndarray:
    """Return a covariance (d, d) with a mean variance of 1."""
    return covariance * (len(covariance) / max(float(np.trace(covariance)), 1e-12))


def precise_groups(directions: np.ndarray, cut: float) -> np.ndarray:
    """Return the group (n,), 0, 1, ..., of unit vectors (n, d) by average linkage, cut at a mean cosine."""
    if len(directions) < 2:
        return np.zeros(len(directions), int)
    apart = np.clip(1.0 - directions @ directions.T, 0.0, 2.0)
    np.fill_diagonal(apart, 0.0)
    return fcluster(linkage(squareform(apart, checks=False), "average"), 1.0 - cut, "distance") - 1


def with_credits(group: np.ndarray, credit: np.ndarray, evidence: Evidence, backend: Backend) -> np.ndarray:
    """Return the groups (n,) with the tracks under one credit as one group, as far as their voices bear it out.

    Args:
        group: (n,) found by ear. credit: (n,) whom each track credits, "" for nobody or several.
    """
    names, at = np.unique(credit, return_inverse=True)
    whole = evidence.summed(np.where(credit == "", -1, at), len(names))
    fits = (credit != "") & (backend.pairs(evidence, whole[at] - evidence) > 0)
    return np.where(fits, group.max(initial=-1) + 1 + at, group)


def look_alikes(evidence: Evidence, rng: np.random.Generator) -> np.ndarray:
    """Return the rows that teach: all, or of many as many as `MOST`, drawn with those nearest to them."""
    n = len(evidence)
    if n <= MOST:
        return np.arange(n)
    drawn = rng.permutation(n)[: MOST // (NEAREST + 1)]
    everyone = evidence.direction
    near = [np.argpartition(-(everyone @ everyone[row]), NEAREST)[: NEAREST + 1] for row in drawn]
    return np.unique(np.concatenate(near))


@dataclass(frozen=True)
class Lesson:
    """What a catalogue has taught.

    Attributes:
        backend: with the new normalisation and numbers; the one before where nothing was learned.
        better: whether the test says so; only then is `backend` to be used.
        why: in one sentence, for people.
        clips, tracks, groups: the degrees of freedom within tracks and within groups, and how many groups taught.
        before, after: equal-error rate between tracks by the catalogue's likeliest partition, with the back-end before
            and with this one; NaN where it was not measured.
    """

    backend: Backend
    better: bool
    why: str
    clips: int = 0
    tracks: int = 0
    groups: int = 0
    before: float = float("nan")
    after: float = float("nan")


def learn(
    voices: Voices,
    backend: Backend,
    clips: Scatter,
    credit: np.ndarray | None = None,
    seed: int = 0,
    cut: float = CUT,
) -> Lesson:
    """Return what a catalogue teaches its back-end.

    Args:
        voices: of the catalogue. backend: as the encoder brought it.
        clips: how all clips lie around their tracks' means.
        credit: (n,) whom each track credits, "" for nobody or several; None to learn from voices alone.
        seed: of the draw where there are more tracks than teach. cut: mean cosine of the groups that teach.
    """
    here = centred(voices, backend)
    evidence = here.evidence(voices.means, voices.seconds)
    rows = np.flatnonzero(voices.seconds >= LEAST_S)
    rows = rows[look_alikes(evidence[rows], np.random.default_rng(seed))]
    evidence, means = evidence[rows], voices.means[rows].astype(float)
    group = precise_groups(evidence.direction, cut)
    if credit is not None:
        group = with_credits(group, credit[rows], evidence, here)
    several = of_several(group)
    if several < FEWEST:
        return Lesson(backend, False, too_little(several))
    tracks = scatter(means, group)
    new = replace(here, matrix=normalisation(here.matrix, (clips, CLIPS), (tracks, TRACKS)))
    new = as_long(here, means, new, means)
    witness = agglomerate(evidence, here).group
    taught = replace(backend, matrix=new.matrix, numbers=moved(here, means, new, means, witness))
    errors = disagreement(here, means, witness), disagreement(new, means, witness)
    return lesson_of(taught, errors, clips.degrees, tracks.degrees, several)


def of_several(group: np.ndarray) -> int:
    """Return how many groups, of each track's `group (n,)`, have several tracks."""
    return int((np.unique(group, return_counts=True)[1] > 1).sum())


def too_little(several: int) -> str:
    """Return what is said where so few groups have several tracks that nothing is learned."""
    found = f"{several} groups of tracks that surely share a vocalist"
    return f"there is too little to learn from: {found}, and it takes {FEWEST}"


def lesson_of(taught: Backend, errors: tuple[float, float], clips: int, tracks: int, groups: int) -> Lesson:
    """Return a lesson, from the equal-error rates before and after it; the other arguments as `Lesson`'s."""
    before, after = errors
    why = f"by the catalogue's likeliest partition {before:.2%} of its pairs are told wrongly before, {after:.2%} after"
    return Lesson(taught, after < before, why, clips, tracks, groups, before, after)


def disagreement(backend: Backend, means: np.ndarray, group: np.ndarray) -> float:
    """Return the equal-error rate of cosines of tracks, pairs within a group being one vocalist's.

    Args:
        backend: by which tracks are scored. means: (n, d) of tracks. group: (n,) of each.

    Returns:
        A fraction; 0 where there are no pairs within groups, or no others.
    """
    cosine, same = _pairs(backend, means, group)
    return metrics.eer(cosine, same) if same.any() and not same.all() else 0.0


def moved(before: Backend, means: np.ndarray, after: Backend, new_means: np.ndarray, group: np.ndarray) -> Numbers:
    """Return the numbers of the score for the back-end `after`, from how cosines within and between groups have moved.

    What two tracks of one vocalist are expected to have, `share`, grows as the cosines within groups do, those that
    taught among them: others are then believed the less. Ratios go by the inverse variance of strangers' cosines.
    """
    cosine, same = _pairs(before, means, group)
    new, _ = _pairs(after, new_means, group)
    numbers = before.numbers
    if not same.any() or same.all():
        return numbers
    share = min(numbers.share * float(new[same].mean() / cosine[same].mean()), LARGEST_SHARE)
    factor = float(cosine[~same].var() / new[~same].var())
    return replace(numbers, share=share, slope=numbers.slope * factor, curve=numbers.curve * factor)


def _pairs(backend: Backend, means: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cosines of all pairs of tracks, and whether both are in one group."""
    normed = unit((means - backend.mean) @ backend.matrix)
    left, right = np.triu_indices(len(means), 1)
    return (normed @ normed.T)[left, right], group[left] == group[right]


def as_long(backend: Backend, means: np.ndarray, new: Backend, new_means: np.ndarray) -> Backend:
    """Return the back-end `new`, scaled so that its tracks lie as far from the centre as those of `backend` did."""
    apart, then = means - backend.mean, new_means - new.mean
    before, after = np.square(apart @ backend.matrix).sum(), np.square(then @ new.matrix).sum()
    return replace(new, matrix=new.matrix * np.sqrt(before / max(after, 1e-12)))


def for_mapped(backend: Backend, voices: Voices, clips: Scatter, encoder_id: str) -> Backend:
    """Return the back-end of an encoder whose head does what the matrix of `backend` did.

    Its clips' vectors have unit length after the map: shorter by its usual gain, as is all that is measured in them.
    """
    means = voices.means @ backend.matrix
    around = np.einsum("ij,ij->", backend.matrix @ clips.squares, backend.matrix) / (clips.degrees + len(voices))
    gain = float(np.sqrt(np.square(means).sum(1).mean() + around))
    mean, variance = backend.mean @ backend.matrix / gain, backend.variance / gain**2
    return Backend(mean, np.eye(len(mean)), backend.numbers, encoder_id, variance)
