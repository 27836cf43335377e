"""The tasks on which embeddings are measured: each is a function from labelled vectors to measures.

A `Labelled` holds vectors (n, d) with their `singer`, `song` and `recording` (n,); a row of NaN is a crop without a
vector and is left out everywhere. `pooled` turns each recording into one row: the mean of its crops' unit vectors, as
the pipeline computes a track's voice.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluate import trials
from pipeline.evaluate.bootstrap import eer_interval, mean_interval
from pipeline.evaluate.trials import Trials
from pipeline.scoring import metrics
from pipeline.scoring.backend import Backend
from pipeline.scoring.metrics import NotMeasurable
from pipeline.scoring.scores import AsNorm, Calibration, Normaliser, Reliability, pair_scores, reliability, unit
from pipeline.scoring.voices import Clips, Voices
from pipeline.sections import ClusterConfig, EvaluateConfig
from pipeline.stages.cluster import cluster_voices

Vectors = NDArray[np.floating]
Names = NDArray[np.str_]

NAN = float("nan")
_RANK_QUERIES = 1000


@dataclass(frozen=True)
class Labelled:
    """Vectors (n, d) of crops, and who sings them."""

    vectors: Vectors
    singer: Names
    song: Names
    recording: Names

    @property
    def usable(self) -> NDArray[np.bool_]:
        """The rows that have a vector, (n,)."""
        return np.asarray(np.isfinite(self.vectors).all(1))

    def where(self, chosen: NDArray) -> "Labelled":
        """Return the rows that a mask or an index chooses."""
        return Labelled(self.vectors[chosen], self.singer[chosen], self.song[chosen], self.recording[chosen])

    def pooled(self) -> "Pooled":
        """Return one row per recording that has a vector: the mean of its unit vectors."""
        rows = self.where(self.usable)
        names, first, index = np.unique(rows.recording, return_index=True, return_inverse=True)
        if not len(names):
            raise NotMeasurable("no crop has a vector")
        sums, crops = np.zeros((len(names), rows.vectors.shape[1]), np.float64), unit(rows.vectors)
        np.add.at(sums, index, crops)
        means = sums / np.bincount(index)[:, None]
        return Pooled(unit(sums), rows.singer[first], rows.song[first], names, means, crops, index)


@dataclass(frozen=True)
class Pooled(Labelled):
    """Unit vectors of n recordings, with the `means (n, d)` that they point along, and their `crops (c, d)`.

    `of (c,)` is the recording that each crop is of, 0 ... n-1.
    """

    means: NDArray[np.floating]
    crops: NDArray[np.floating]
    of: NDArray[np.intp]

    def voices(self, crop_s: float) -> Voices:
        """Return the recordings as the stages take tracks."""
        return Voices(self.recording.astype(object), self.means, np.bincount(self.of) * crop_s)

    def clips(self, crop_s: float) -> Clips:
        """Return the crops as the stages take clips; all begin at 0, since only vectors and lengths are used."""
        return Clips(self.crops, np.zeros(len(self.of)), np.full(len(self.of), crop_s), self.of)


@dataclass(frozen=True)
class Measure:
    """A value of a metric, its 95 % interval over singers (NaN for none), and the number of trials or items."""

    task: str
    metric: str
    value: float
    low: float = NAN
    high: float = NAN
    n: int = 0


@dataclass(frozen=True)
class Scored:
    """Scores and labels (t,) of trials, for figures."""

    scores: NDArray[np.floating]
    labels: NDArray[np.bool_]


def score(data: Labelled, pairs: Trials, task: str, config: EvaluateConfig, seed: int) -> tuple[list[Measure], Scored]:
    """Return EER and minDCF of trials whose two sides have vectors, by cosine.

    Raises:
        NotMeasurable: no target or no non-target is left.
    """
    usable = data.usable
    pairs = pairs.where(usable[pairs.left] & usable[pairs.right])
    scores = pair_scores(np.nan_to_num(data.vectors), pairs.left, pairs.right)
    return _verification(data, pairs, scores, task, config, seed), Scored(scores, pairs.label)


def _verification(
    data: Labelled, pairs: Trials, scores: Vectors, task: str, config: EvaluateConfig, seed: int
) -> list[Measure]:
    value = metrics.eer(scores, pairs.label)
    low, high = eer_interval(
        scores, pairs.label, data.singer[pairs.left], data.singer[pairs.right], config.bootstrap, seed
    )
    cost = metrics.min_dcf(scores, pairs.label, config.p_target)
    return [Measure(task, "eer", value, low, high, len(pairs)), Measure(task, "min_dcf", cost, n=len(pairs))]


def similarity(
    data: Labelled, pairs: Trials, config: EvaluateConfig, seed: int = 0
) -> tuple[list[Measure], dict[str, Scored]]:
    """Measure how well similarity tells singers apart: equal-error rate, minDCF and mean normalised rank.

    It is measured for crops, for vectors pooled over recordings, and separately for pairs of crops of one recording if
    there are such trials.

    Returns:
        The measures, and the scores of each task that was measured.
    """
    found, curves = [], {}
    measured, curves["similarity"] = score(data, pairs.where(~pairs.same_recording), "similarity", config, seed)
    found += [*measured, rank(data, pairs.where(~pairs.same_recording), config, seed)]
    if pairs.same_recording.any():
        same = pairs.where(pairs.same_recording | ~pairs.label)
        task = "similarity, same recording"
        measured, curves[task] = score(data, same, task, config, seed)
        found += measured
    songs = data.pooled()
    if len(songs.singer) < len(data.singer):
        task = "similarity, pooled"
        whole = trials.make(songs.singer.tolist(), songs.recording.tolist(), config.max_trials, seed)
        measured, curves[task] = score(songs, whole, task, config, seed)
        found += measured
    return found, curves


def rank(data: Labelled, pairs: Trials, config: EvaluateConfig, seed: int = 0) -> Measure:
    """Return the mean normalised rank of a true match among `rank_others` recordings of other singers, as in the paper.

    Queries are up to 1000 target trials. The others are by another singer (the paper's code only checks that the path
    does not contain the singer's name); if the set has fewer than `rank_others`, they are all used.
    """
    usable = data.usable
    targets = pairs.where(pairs.label & usable[pairs.left] & usable[pairs.right])
    if not len(targets):
        raise NotMeasurable("there is no target trial to rank")
    rng = np.random.default_rng([seed, 512])
    chosen = np.sort(rng.choice(len(targets), min(len(targets), _RANK_QUERIES), replace=False))
    rows = unit(np.nan_to_num(data.vectors))
    ranks = np.empty(len(chosen))
    for i, (query, match) in enumerate(zip(targets.left[chosen], targets.right[chosen], strict=True)):
        others = np.flatnonzero(usable & (data.singer != data.singer[query]))
        others = rng.choice(others, min(len(others), config.rank_others), replace=False)
        among = rows[others] @ rows[query]
        ranks[i] = metrics.normalised_ranks([rows[match] @ rows[query]], among[None])[0]
    low, high = mean_interval(ranks, data.singer[targets.left[chosen]], config.bootstrap, seed)
    return Measure("similarity", "mean_normalised_rank", float(ranks.mean()), low, high, len(chosen))


def retrieval(data: Labelled, config: EvaluateConfig, seed: int = 0) -> list[Measure]:
    """Measure how well pooled vectors rank a singer's other recordings: recall at 1 and 5, mean average precision.

    Queries are the recordings of singers who have two or more. `chance_recall_at_1` is that of a random order.
    """
    songs = data.pooled()
    _, index, count = np.unique(songs.singer, return_inverse=True, return_counts=True)
    queries = np.flatnonzero(count[index] > 1)
    if not len(queries):
        raise NotMeasurable("no singer has two recordings to find one by the other")
    scores = songs.vectors @ songs.vectors.T
    np.fill_diagonal(scores, -np.inf)
    order = np.argsort(-scores[queries], axis=1, kind="stable")[:, :-1]
    match = index[order] == index[queries][:, None]
    precision = np.cumsum(match, 1) / np.arange(1, match.shape[1] + 1)
    values = {
        "recall_at_1": match[:, 0],
        "recall_at_5": match[:, :5].any(1),
        "mean_average_precision": (precision * match).sum(1) / match.sum(1),
        "chance_recall_at_1": (count[index[queries]] - 1) / (len(index) - 1),
    }
    return [_mean("retrieval", name, value, songs.singer[queries], config, seed) for name, value in values.items()]


def _mean(task: str, metric: str, values: NDArray, singers: Names, config: EvaluateConfig, seed: int) -> Measure:
    low, high = mean_interval(values, singers, config.bootstrap, seed)
    return Measure(task, metric, float(np.mean(values)), low, high, len(values))


def clusters(data: Labelled, backend: Backend, config: ClusterConfig, crop_s: float, seed: int = 0) -> list[Measure]:
    """Return how well the pipeline's own clusters of recordings agree with the singers."""
    songs = data.pooled()
    found = cluster_voices(songs.voices(crop_s), backend, config.model_copy(update={"umap": False}), seed)
    values = metrics.clustering(songs.singer, found["cluster_id"].to_numpy())
    return [Measure("clusters", name, value, n=len(found)) for name, value in values.items()]


def normalisations(data: Labelled, config: EvaluateConfig, seed: int = 0) -> tuple[list[Measure], Reliability]:
    """Return measures of scores of pooled vectors (raw, centred, whitened, AS-normed), and the calibration of centred.

    Each normalisation is fitted on the set itself without labels, as it would be on a catalogue. The calibration is
    fitted on the trials among one half of the singers and measured on the other half, both ways round.
    """
    songs = data.pooled()
    pairs = trials.make(songs.singer.tolist(), songs.recording.tolist(), config.max_trials, seed)
    centred = Normaliser.fit(songs.vectors)(songs.vectors)
    white = Normaliser.fit(songs.vectors, whiten=True)(songs.vectors)
    scores = {
        "raw": pair_scores(songs.vectors, pairs.left, pairs.right),
        "centred": pair_scores(centred, pairs.left, pairs.right),
        "whitened": pair_scores(white, pairs.left, pairs.right),
        "as-norm": AsNorm(centred).pair_scores(centred, pairs.left, pairs.right),
    }
    found = []
    for name, values in scores.items():
        found += _verification(songs, pairs, values, f"scores, {name}", config, seed)
    stated, judged = calibrated(scores["centred"], pairs, songs.singer, seed)
    judgement = reliability(stated, pairs.label[judged])
    for metric in ("ece", "brier", "cllr"):
        found.append(Measure("scores, calibrated", metric, getattr(judgement, metric), n=len(judged)))
    return found, judgement


def calibrated(
    scores: Vectors, pairs: Trials, singer: Names, seed: int = 0
) -> tuple[NDArray[np.floating], NDArray[np.intp]]:
    """Return probabilities at a prior of one half, fitted on other singers, and the trials that they belong to.

    Raises:
        NotMeasurable: there are too few singers for two halves that both have trials of both classes.
    """
    names, index = np.unique(singer, return_inverse=True)
    if len(names) < 4:
        raise NotMeasurable(f"{len(names)} singers are too few to calibrate on some and judge on others")
    half = np.random.default_rng([seed, 50]).permutation(len(names)) % 2
    left, right = half[index[pairs.left]], half[index[pairs.right]]
    stated, judged = [], []
    for side in (0, 1):
        fit = np.flatnonzero((left == 1 - side) & (right == 1 - side))
        judge = np.flatnonzero((left == side) & (right == side))
        stated.append(Calibration.fit(scores[fit], pairs.label[fit]).probability(scores[judge]))
        judged.append(judge)
    return np.concatenate(stated), np.concatenate(judged)
