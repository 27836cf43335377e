"""Tasks on vectors whose singers are known: perfect, at chance level, incomplete and too few."""

import numpy as np
import pytest

from pipeline.evaluate import tasks, trials
from pipeline.evaluate.tasks import Labelled
from pipeline.scoring import metrics
from pipeline.scoring.backend import Backend
from pipeline.scoring.metrics import NotMeasurable
from pipeline.sections import ClusterConfig, EvaluateConfig

CONFIG = EvaluateConfig(bootstrap=50)


def labelled(n_singers: int = 8, songs: int = 4, crops: int = 3, noise: float = 0.3, seed: int = 0) -> Labelled:
    """Return crops around a unit direction for each singer; `noise` is their standard deviation."""
    rng = np.random.default_rng(seed)
    singer = np.repeat(np.arange(n_singers), songs * crops)
    song = np.repeat(np.arange(n_singers * songs), crops)
    centres = rng.normal(size=(n_singers, 24))
    vectors = centres[singer] + noise * rng.normal(size=(len(singer), 24))
    names = [np.array([f"{kind}{i:03d}" for i in index]) for kind, index in (("s", singer), ("g", song), ("r", song))]
    return Labelled(vectors, *names)


def pairs_of(data: Labelled, same_recording: bool = False) -> trials.Trials:
    return trials.make(data.singer.tolist(), data.recording.tolist(), same_recording=same_recording)


def by_name(found: list[tasks.Measure]) -> dict[tuple[str, str], tasks.Measure]:
    return {(measure.task, measure.metric): measure for measure in found}


def test_similarity_of_clear_voices_is_perfect_for_crops_and_for_songs():
    data = labelled(noise=0.1)
    found, curves = tasks.similarity(data, pairs_of(data, same_recording=True), CONFIG)
    values = by_name(found)
    for task in ("similarity", "similarity, same recording", "similarity, pooled"):
        assert values[task, "eer"].value == 0 and values[task, "min_dcf"].value == 0
        assert curves[task].scores.shape == curves[task].labels.shape
    assert values["similarity", "mean_normalised_rank"].value == 0
    assert values["similarity, pooled", "eer"].n == 32 * 31 // 2
    assert values["similarity", "eer"].n == 96 * 95 // 2 - 32 * 3, "no two crops of one recording"


def test_similarity_of_noise_is_at_chance_level_except_within_a_recording():
    data = labelled(n_singers=12, noise=0.0)
    rng = np.random.default_rng(1)
    recording = np.unique(data.recording, return_inverse=True)[1]
    vectors = rng.normal(size=(recording.max() + 1, 24))[recording] + 0.1 * rng.normal(size=data.vectors.shape)
    data = Labelled(vectors, data.singer, data.song, data.recording)
    found, _ = tasks.similarity(data, pairs_of(data, same_recording=True), CONFIG)
    values = by_name(found)
    assert values["similarity", "eer"].value == pytest.approx(0.5, abs=0.08)
    assert values["similarity", "mean_normalised_rank"].value == pytest.approx(0.5, abs=0.08)
    assert values["similarity, same recording", "eer"].value < 0.02


def test_crops_without_a_vector_are_left_out_of_everything():
    data = labelled()
    vectors = data.vectors.copy()
    vectors[::7] = np.nan
    holed = Labelled(vectors, data.singer, data.song, data.recording)
    kept = data.where(holed.usable)
    ours, _ = tasks.similarity(holed, pairs_of(data), CONFIG)
    theirs, _ = tasks.similarity(kept, pairs_of(kept), CONFIG)
    for a, b in zip(ours, theirs, strict=True):
        if a.metric != "mean_normalised_rank":  # which draws its queries by index
            assert (a.metric, a.value, a.n) == (b.metric, b.value, b.n)
    nothing = Labelled(np.full_like(vectors, np.nan), data.singer, data.song, data.recording)
    with pytest.raises(NotMeasurable):
        tasks.similarity(nothing, pairs_of(data), CONFIG)
    with pytest.raises(NotMeasurable, match="no crop has a vector"):
        nothing.pooled()


def test_pooling_is_the_mean_of_unit_vectors():
    data = Labelled(np.array([[2.0, 0], [0, 1.0], [0, 3.0], [np.nan, 0]]), *[np.array(["a", "a", "b", "b"])] * 3)
    pooled = data.pooled()
    assert pooled.vectors == pytest.approx(np.array([[np.sqrt(0.5), np.sqrt(0.5)], [0, 1]]))
    assert pooled.recording.tolist() == ["a", "b"]
    clips = pooled.clips(crop_s=4.0)
    assert clips.track.tolist() == [0, 0, 1]
    assert pooled.voices(crop_s=4.0).seconds.tolist() == [8.0, 4.0]


def test_rank_excludes_the_singer_by_exact_name():
    # "s1" is contained in "s10", but is another singer with other recordings.
    vectors = np.array([[1, 0], [0.9, 0.1], [1, 0.01], [0, 1]])
    data = Labelled(vectors, *[np.array(names) for names in (["s1", "s1", "s10", "s10"], [*"abcd"], [*"abcd"])])
    one = trials.Trials(np.array([0]), np.array([1]), np.array([True]), np.array([False]))
    assert tasks.rank(data, one, CONFIG).value == pytest.approx(1 / 3)
    worse_or_better = {
        tasks.rank(data, one, EvaluateConfig(bootstrap=0, rank_others=1), seed).value for seed in range(10)
    }
    assert worse_or_better == {0.0, 0.5}, "one other is drawn, which is nearer or is not"


def test_retrieval_ranks_the_same_singer_first():
    values = {m.metric: m for m in tasks.retrieval(labelled(noise=0.1), CONFIG)}
    assert values["recall_at_1"].value == values["mean_average_precision"].value == 1
    assert values["chance_recall_at_1"].value == pytest.approx(3 / 31) and values["recall_at_1"].n == 32
    rng = np.random.default_rng(0)
    data = labelled(n_singers=20)
    noise = Labelled(rng.normal(size=data.vectors.shape), data.singer, data.song, data.recording)
    values = {m.metric: m.value for m in tasks.retrieval(noise, CONFIG)}
    assert values["recall_at_1"] == pytest.approx(values["chance_recall_at_1"], abs=0.1)
    with pytest.raises(NotMeasurable, match="no singer has two recordings"):
        tasks.retrieval(labelled(songs=1), CONFIG)


def test_clusters_are_made_as_in_the_pipeline():
    data = labelled(songs=8, noise=0.1)
    backend = Backend(np.zeros(data.vectors.shape[1]), np.eye(data.vectors.shape[1]))
    values = {m.metric: m.value for m in tasks.clusters(data, backend, ClusterConfig(), 4.0)}
    assert values["n_truth"] == 8 and values["bcubed_f1"] > 0.9 and values["ari"] > 0.8


def test_normalisation_helps_if_there_is_something_to_remove():
    data = labelled(n_singers=10, songs=6, noise=1.2)
    shifted = Labelled(data.vectors + 4.0, data.singer, data.song, data.recording)
    found, judged = tasks.normalisations(shifted, CONFIG)
    values = by_name(found)
    assert values["scores, centred", "eer"].value < 0.5 * values["scores, raw", "eer"].value
    assert values["scores, as-norm", "eer"].value < values["scores, raw", "eer"].value
    assert values["scores, calibrated", "ece"].value == judged.ece < 0.2
    assert values["scores, calibrated", "cllr"].value < 1


def test_calibration_is_measured_on_other_singers():
    data = labelled(n_singers=10, songs=4, crops=1, noise=0.8)
    pairs = pairs_of(data)
    scores = np.where(pairs.label, 0.6, 0.1) + 0.1 * np.random.default_rng(0).normal(size=len(pairs))
    stated, judged = tasks.calibrated(scores, pairs, data.singer)
    singers = [set(data.singer[side[judged]]) for side in (pairs.left, pairs.right)]
    assert len(np.unique(judged)) == len(judged) < len(pairs) and singers[0] | singers[1] == set(data.singer)
    assert metrics.eer(stated, pairs.label[judged]) < 0.03
    few = labelled(n_singers=3)
    with pytest.raises(NotMeasurable, match="3 singers are too few"):
        tasks.calibrated(np.zeros(len(pairs_of(few))), pairs_of(few), few.singer)
