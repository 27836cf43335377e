"""Tagging: who sings each track, from a few known names and the clusters.

Voices are centred on the catalogue (`Normaliser`), scores are cosines (or AS-normalised ones), and a logistic
`Calibration` turns a score into the odds that two tracks are by one vocalist: the steps that `evaluate` measures.

- A track's score with an enrolled vocalist is that of its voice with the mean of the known tracks, and to a part
  `cluster_weight` that of its cluster's other tracks, which speak for it.
- The probability weighs all enrolled vocalists against each other and against "none of them", which has
  `unknown_prior`. From `min_probability` on, the name is given (source `enrolled`).
- Other tracks bear their cluster's name (source `cluster`): that of the vocalist who was found on most of its
  tracks, or else `voice-0001`, ..., by size and then by smallest track_id.
- The rest is `unknown` and has no name.

Brummer and de Villiers, "The speaker partitioning problem" (Odyssey 2010), for weighing hypotheses by odds.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from pipeline.people.disagreements import disagreements
from pipeline.scoring.metrics import NotMeasurable
from pipeline.scoring.scores import AsNorm, Calibration, Normaliser, unit
from pipeline.sections import TagConfig
from pipeline.stages.cluster import NOISE, Groups

BLOCK = 20_000
PAIRS = 20_000


@dataclass(frozen=True)
class Scorer:
    """Scores between voices: cosines, normalised by a cohort if there is one."""

    as_norm: AsNorm | None

    def matrix(self, voices: np.ndarray, models: np.ndarray) -> np.ndarray:
        """Return the scores (n, m) of unit `voices (n, d)` with `models (m, d)`."""
        models = unit(models)
        return self.as_norm.matrix(voices, models) if self.as_norm else voices @ models.T

    def pairs(self, voices: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Return the scores (t,) of rows `left` with rows `right` of unit `voices (n, d)`."""
        if self.as_norm:
            return self.as_norm.pair_scores(voices, left, right)
        return np.einsum("td,td->t", voices[left], voices[right])


def tag_voices(track_ids: np.ndarray, vectors: np.ndarray, cluster_ids: np.ndarray, known: dict[str, str],
               config: TagConfig, seed: int = 0) -> pd.DataFrame:
    """Give every voice a name, or none.

    Args:
        track_ids: (n,) str. vectors: (n, d) float32, their voices. cluster_ids: (n,) int, -1 for none.
        known: track_id -> vocalist. Those that are no voice here are passed over.

    Returns:
        A row per voice: `track_id`, `vocalist` (None: unknown), `score`, `probability`, `source`. Known tracks have
        their given name at probability 1. `score` and `probability` are those of the name given; for an unknown
        track those of the likeliest enrolled vocalist, NaN where nobody is enrolled.
    """
    rng = np.random.default_rng(seed)
    voices = Normaliser.fit(vectors)(vectors) if len(vectors) >= config.min_voices else unit(vectors)
    scorer = Scorer(_cohort(voices, config, rng))
    calibration = calibrate(voices, cluster_ids, known_labels(track_ids, known), scorer, config, rng)
    names, best, score, probability = _enrolled(track_ids, voices, cluster_ids, known, scorer, calibration, config)
    is_known = np.array([track_id in known for track_id in track_ids], bool)
    probability[is_known] = 1.0
    named = (is_known | (probability >= config.min_probability)) & (best >= 0)
    vocalist = np.array([names[i] if ok else None for i, ok in zip(best, named, strict=True)], object)
    source = np.where(named, "enrolled", "unknown").astype(object)
    cluster_score = _mean_scores(voices, cluster_ids, scorer)
    for cluster_id, name in name_clusters(track_ids, cluster_ids, vocalist).items():
        rows = (cluster_ids == cluster_id) & ~named
        vocalist[rows], source[rows] = name, "cluster"
        score[rows] = cluster_score[rows]
        probability[rows] = calibration.probability(cluster_score[rows])
    return pd.DataFrame({"track_id": track_ids, "vocalist": vocalist, "score": score, "probability": probability,
                         "source": source})


def with_files(tags: pd.DataFrame, tracks: pd.DataFrame, known: dict[str, str]) -> pd.DataFrame:
    """Return `tag_voices`' rows as the table `tags` has them: with the file's `uri`, `title` and artist tag
    (`file_artist`), and whether that `disagrees` with the vocalist found (see `people.disagreements`)."""
    about = tracks[["track_id", "uri", "title", "artist"]].rename(columns={"artist": "file_artist"})
    rows = tags.merge(about, on="track_id", how="left")
    given: dict[str, list[str]] = {name: [] for name in known.values()}
    for track_id, artist in zip(rows["track_id"], rows["file_artist"], strict=True):
        if track_id in known:
            given[known[track_id]].append(artist)
    rows["disagrees"] = disagreements(rows["vocalist"], rows["file_artist"], rows["title"], given)
    return rows.sort_values("track_id").reset_index(drop=True)


def known_labels(track_ids: np.ndarray, known: dict[str, str]) -> np.ndarray:
    """Return the number of each track's known vocalist (n,), -1 for none."""
    numbers = {name: i for i, name in enumerate(sorted(set(known.values())))}
    return np.array([numbers[known[track_id]] if track_id in known else NOISE for track_id in track_ids], np.int64)


def calibrate(voices: np.ndarray, cluster_ids: np.ndarray, known: np.ndarray, scorer: Scorer, config: TagConfig,
              rng: np.random.Generator) -> Calibration:
    """Fit score to odds on pairs of known tracks if many of them share a vocalist, or else on pairs of the clusters.

    Where neither can tell, it is the config's. Clusters are near enough to the truth: on simulated catalogues
    (equal error rates from 0 to 15 %) the probabilities they give had a Brier score of 0.052, true labels 0.055.
    """
    _, repeats = np.unique(known[known != NOISE], return_counts=True)
    for labels in ([known] if (repeats - 1).clip(0).sum() >= 20 else []) + [cluster_ids]:
        left, right = _pairs(labels, rng)
        if len(left):
            try:
                return Calibration.fit(scorer.pairs(voices, left, right), labels[left] == labels[right])
            except NotMeasurable:
                continue
    return Calibration(config.slope, config.intercept)


def name_clusters(track_ids: np.ndarray, cluster_ids: np.ndarray, vocalist: np.ndarray) -> dict[int, str]:
    """Return each cluster's name: the vocalist found on more than half of its tracks, or `voice-0001`, ...

    Args:
        track_ids: (n,) str. cluster_ids: (n,) int. vocalist: (n,) the enrolled vocalist found, or None.
    """
    frame = pd.DataFrame({"track": track_ids, "cluster": cluster_ids, "vocalist": vocalist})
    frame = frame[frame["cluster"] != NOISE]
    sizes = frame.groupby("cluster").agg(size=("track", "size"), first=("track", "min"))
    counts = frame.dropna(subset="vocalist").groupby(["cluster", "vocalist"]).size().reset_index(name="n")
    names = {int(row.cluster): str(row.vocalist) for row in counts.itertuples()
             if 2 * row.n > sizes.at[row.cluster, "size"]}
    unnamed = sizes.drop(index=list(names)).sort_values(["size", "first"], ascending=[False, True])
    return names | {int(cluster): f"voice-{i:04d}" for i, cluster in enumerate(unnamed.index, 1)}


def _cohort(voices: np.ndarray, config: TagConfig, rng: np.random.Generator) -> AsNorm | None:
    if not config.as_norm or len(voices) < 3:
        return None
    rows = np.sort(rng.choice(len(voices), min(len(voices), 20 * config.as_norm_top), replace=False))
    return AsNorm(voices[rows], min(config.as_norm_top, len(rows) - 1))


def _enrolled(track_ids: np.ndarray, voices: np.ndarray, cluster_ids: np.ndarray, known: dict[str, str],
              scorer: Scorer, calibration: Calibration, config: TagConfig,
              ) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Weigh every voice against the enrolled vocalists.

    Returns:
        `(names, best, score, probability)`: for each voice (n,) the number in `names` of the likeliest vocalist
        (of a known track: the given one), the score with it, and the probability that it sings.
    """
    labels = known_labels(track_ids, known)
    names = sorted(set(known.values()))
    enrolled = np.unique(labels[labels != NOISE])
    best = np.full(len(voices), NOISE)
    score, probability = np.full(len(voices), np.nan), np.full(len(voices), np.nan)
    if not len(enrolled):
        return names, best, score, probability
    models = unit(np.stack([voices[labels == i].mean(0) for i in enrolled]))
    fellows = np.zeros_like(voices)
    for rows, others in Groups(voices, cluster_ids).others():
        fellows[rows] = unit(others)
    for start in range(0, len(voices), BLOCK):
        part = slice(start, start + BLOCK)
        scores = scorer.matrix(voices[part], models)
        weight = config.cluster_weight * (cluster_ids[part] != NOISE)[:, None]
        scores = (1 - weight) * scores + weight * scorer.matrix(fellows[part], models)
        given = labels[part] != NOISE
        at = scores.argmax(1)
        at[given] = np.searchsorted(enrolled, labels[part][given])
        best[part], score[part] = enrolled[at], np.take_along_axis(scores, at[:, None], 1)[:, 0]
        probability[part] = _posterior(scores, at, calibration, config.unknown_prior)
    return names, best, score, probability


def _posterior(scores: np.ndarray, at: np.ndarray, calibration: Calibration, unknown_prior: float) -> np.ndarray:
    """Return the probability (n,) of model `at (n,)`, given scores (n, m) with all models and a prior of none."""
    odds = calibration.slope * scores + calibration.intercept + np.log((1 - unknown_prior) / scores.shape[1])
    none = np.full((len(scores), 1), np.log(unknown_prior))
    total = logsumexp(np.hstack([odds, none]), axis=1)
    return np.exp(np.take_along_axis(odds, at[:, None], 1)[:, 0] - total)


def _mean_scores(voices: np.ndarray, cluster_ids: np.ndarray, scorer: Scorer) -> np.ndarray:
    """Return each voice's mean score (n,) with the other tracks of its cluster; NaN where there is none."""
    result = np.full(len(voices), np.nan)
    for rows, others in Groups(voices, cluster_ids).others():
        if scorer.as_norm is None:
            result[rows] = np.einsum("nd,nd->n", voices[rows], others)
        else:
            pair = np.vstack([voices[rows], unit(others)])
            result[rows] = scorer.pairs(pair, np.arange(len(rows)), np.arange(len(rows), 2 * len(rows)))
    return result


def _pairs(labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of about `PAIRS` pairs of one label and as many of two labels; unlabelled rows take no part."""
    order = np.flatnonzero(labels != NOISE)
    if not len(order):
        return order, order
    order = order[np.argsort(labels[order], kind="stable")]
    _, first, group, count = np.unique(labels[order], return_index=True, return_inverse=True, return_counts=True)
    left = rng.integers(0, len(order), PAIRS)
    same = first[group[left]] + rng.integers(0, count[group[left]])
    pairs = np.concatenate([np.stack([left, same]), rng.integers(0, len(order), (2, PAIRS))], axis=1)
    pairs = pairs[:, pairs[0] != pairs[1]]
    return order[pairs[0]], order[pairs[1]]
