"""Closed-set and open-set identification: probes on frozen embeddings, and the names of `tag`, with folds by song."""

import itertools

import numpy as np
from numpy.typing import NDArray

from pipeline.config import Config
from pipeline.evaluate import answers
from pipeline.evaluate.bootstrap import mean_interval
from pipeline.evaluate.tasks import Labelled, Measure
from pipeline.scoring import metrics
from pipeline.scoring.backend import Backend
from pipeline.scoring.metrics import NotMeasurable
from pipeline.scoring.scores import unit
from pipeline.sections import EvaluateConfig
from pipeline.stages.cluster import cluster_voices

FOLDS = 5
# Splits of the singers into enrolled and strangers, for open-set identification.
_SPLITS = 5
_TOP = 5

Floats = NDArray[np.floating]


def closed_set(data: Labelled, config: EvaluateConfig, seed: int = 0) -> tuple[list[Measure], NDArray, NDArray]:
    """Measure top-1 and top-5 accuracy of a linear probe and of the nearest centroid, over folds by song.

    Singers with a single song are left out, since it cannot be in both training and test.

    Returns:
        The measures, the singers (classes,), and how often the centroids named each singer (row) as each (column).

    Raises:
        NotMeasurable: fewer than two singers have two songs.
    """
    data = with_songs(data)
    classes, truth = np.unique(data.singer, return_inverse=True)
    scores = {name: np.zeros((len(truth), len(classes))) for name in ("probe", "centroid")}
    parts = folds(data, seed)
    for train, test in parts:
        scores["probe"][test] = _probe(data.vectors, truth, train, test, len(classes))
        models = centroids(data.vectors[train], truth[train], len(classes))
        scores["centroid"][test] = data.vectors[test] @ models.T
    tested = np.concatenate([test for _, test in parts])
    truth, singer = truth[tested], data.singer[tested]
    found = []
    for name, k in itertools.product(scores, (1, _TOP)):
        if k < len(classes):
            hits = metrics.top_k_hits(scores[name][tested], truth, k)
            low, high = mean_interval(hits, singer, config.bootstrap, seed)
            found.append(Measure("identification", f"{name}_top{k}", float(hits.mean()), low, high, len(hits)))
    named = np.zeros((len(classes), len(classes)), int)
    np.add.at(named, (truth, scores["centroid"][tested].argmax(1)), 1)
    return found, classes, named


def with_songs(data: Labelled) -> Labelled:
    """Return the rows that have a vector and whose singer has two songs or more, brought to unit length.

    Raises:
        NotMeasurable: fewer than two singers are left.
    """
    data = data.where(data.usable)
    songs = {name: len(set(data.song[data.singer == name].tolist())) for name in np.unique(data.singer)}
    data = data.where(np.array([songs[name] > 1 for name in data.singer], dtype=bool))
    if len(np.unique(data.singer)) < 2:
        raise NotMeasurable("fewer than two singers have two songs, so there is no one to tell apart")
    return Labelled(unit(data.vectors), data.singer, data.song, data.recording)


def folds(data: Labelled, seed: int) -> list[tuple[NDArray, NDArray]]:
    """Return training and test rows of each fold. A song is in one fold only, whoever sings it.

    In a seeded order, each song goes to the fold that has the fewest songs of its singers. If shared songs leave a
    singer without any in training, that singer is not tested either.
    """
    songs, song = np.unique(data.song, return_inverse=True)
    singer = np.unique(data.singer, return_inverse=True)[1]
    n_folds = min(FOLDS, len(songs))
    sung = np.zeros((singer.max() + 1, n_folds), int)
    fold_of = np.zeros(len(songs), int)
    for number in np.random.default_rng([seed, 5]).permutation(len(songs)):
        by = np.unique(singer[song == number])
        fold_of[number] = np.lexsort((sung.sum(0), sung[by].sum(0)))[0]
        sung[by, fold_of[number]] += 1
    fold = fold_of[song]
    found = []
    for f in range(n_folds):
        train, test = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        found.append((train, test[np.isin(singer[test], singer[train])]))
    return [(train, test) for train, test in found if len(test)]


def _probe(vectors: Floats, truth: NDArray, train: NDArray, test: NDArray, n_classes: int) -> Floats:
    """Return class probabilities (test, classes) of a logistic regression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    model.fit(vectors[train], truth[train])
    scores = np.zeros((len(test), n_classes))
    scores[:, model[-1].classes_] = model.predict_proba(vectors[test])
    return scores


def centroids(vectors: Floats, truth: NDArray, n_classes: int) -> Floats:
    """Return the unit mean (classes, d) of each class's unit vectors; zeros for a class without any."""
    sums = np.zeros((n_classes, vectors.shape[1]))
    np.add.at(sums, truth, vectors)
    return unit(sums)


def open_set(data: Labelled, backend: Backend, settings: Config, seed: int = 0) -> list[Measure]:
    """Return how good the names are that `tag` gives when half of the singers are known by their training songs.

    Recordings are clustered and tagged as in the stages, over five seeded splits of the singers.

    Raises:
        NotMeasurable: fewer than four singers have two songs.
    """
    songs = with_songs(data).pooled()
    voices, clips = songs.voices(settings.evaluate.crop_s), songs.clips(settings.evaluate.crop_s)
    classes, truth = np.unique(songs.singer, return_inverse=True)
    if len(classes) < 4:
        raise NotMeasurable(f"{len(classes)} singers are too few to enrol some and keep others as strangers")
    clusters = cluster_voices(voices, backend, settings.cluster.model_copy(update={"umap": False}), seed)
    found = []
    for split in range(_SPLITS):
        order = np.random.default_rng([seed, split, 77]).permutation(len(classes))
        enrolled = np.isin(truth, order[: len(classes) // 2])
        for train, _ in folds(songs, seed):
            given = train[enrolled[train]]
            found.append(answers.ask(voices, songs.singer, given, clusters, backend, settings.tag, clips)[0])
    asked = answers.Asked.joined(found)
    return [Measure("names", name, value, n=len(asked.right)) for name, value in answers.measures(asked).items()]
