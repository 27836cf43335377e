"""Identification of vectors whose singers are known; no song is divided between folds."""

import numpy as np
import pytest

from pipeline.config import Config
from pipeline.evaluate import identification
from pipeline.evaluate.tasks import Labelled
from pipeline.scoring.backend import Backend
from pipeline.scoring.metrics import NotMeasurable
from pipeline.sections import EvaluateConfig

CONFIG = EvaluateConfig(bootstrap=50)


def labelled(n_singers: int = 8, songs: int = 5, crops: int = 3, noise: float = 0.2, shared: bool = False) -> Labelled:
    rng = np.random.default_rng(0)
    singer = np.repeat(np.arange(n_singers), songs * crops)
    song = np.tile(np.repeat(np.arange(songs), crops), n_singers)
    vectors = rng.normal(size=(n_singers, 24))[singer] + noise * rng.normal(size=(len(singer), 24))
    own = [f"g{g}" if shared else f"g{s}/{g}" for s, g in zip(singer, song, strict=True)]
    return Labelled(vectors, np.array([f"s{i:02d}" for i in singer]), np.array(own), np.array(own))


def open_set(data: Labelled, config: Config) -> dict[str, float]:
    """Return the measures of the names that `tag` gives, with a back-end that takes the vectors as they are."""
    backend = Backend(np.zeros(data.vectors.shape[1]), np.eye(data.vectors.shape[1]))
    return {m.metric: m.value for m in identification.open_set(data, backend, config)}


@pytest.mark.parametrize("shared", [False, True], ids=["own songs", "songs that all sing"])
def test_folds_divide_no_song_and_leave_every_singer_in_training(shared):
    data = labelled(songs=7, shared=shared)
    tested = np.zeros(len(data.singer), int)
    for train, test in identification.folds(data, seed=0):
        assert not set(data.song[train]) & set(data.song[test])
        assert set(data.singer[test]) <= set(data.singer[train])
        tested[test] += 1
    assert (tested == 1).all()


def test_a_singer_whose_songs_are_all_in_one_fold_is_not_tested():
    names = np.array(["a", "a", "b", "b"])
    data = Labelled(np.eye(4), names, np.array(["x", "x", "x", "y"]), names)
    for train, test in identification.folds(data, seed=0):
        assert set(data.singer[test]) <= set(data.singer[train])


def test_clear_voices_are_all_identified(make_config):
    found, classes, named = identification.closed_set(labelled(), CONFIG)
    assert {m.metric: m.value for m in found} == dict.fromkeys(
        ("probe_top1", "probe_top5", "centroid_top1", "centroid_top5"), 1.0
    )
    assert classes.tolist() == [f"s{i:02d}" for i in range(8)]
    assert named.sum() == 120 and np.trace(named) == 120
    values = open_set(labelled(), make_config())
    assert values["named"] > 0.9 and values["named_right"] > 0.95 and values["strangers_named"] <= 0.03
    assert values["dir_at_1pct_false_alarms"] > 0.9


def test_noise_is_identified_at_chance_level(make_config):
    data = labelled(n_singers=10, crops=8)
    rng = np.random.default_rng(0)
    noise = Labelled(rng.normal(size=data.vectors.shape), data.singer, data.song, data.recording)
    values = {m.metric: m.value for m in identification.closed_set(noise, CONFIG)[0]}
    for name in ("probe", "centroid"):
        assert values[f"{name}_top1"] == pytest.approx(0.1, abs=0.06)
        assert values[f"{name}_top5"] == pytest.approx(0.5, abs=0.1)
    assert open_set(noise, make_config())["dir_at_1pct_false_alarms"] < 0.05


def test_crops_of_the_same_song_are_never_in_training_and_test():
    # Vectors depend on the song and not on the singer: if a song were in training and test, all would be right.
    data = labelled(crops=6)
    song = np.unique(data.song, return_inverse=True)[1]
    vectors = np.random.default_rng(3).normal(size=(song.max() + 1, 24))[song]
    values = {
        m.metric: m.value
        for m in identification.closed_set(Labelled(vectors, data.singer, data.song, data.recording), CONFIG)[0]
    }
    assert values["probe_top1"] < 0.4 and values["centroid_top1"] < 0.4


def test_too_few_songs_are_reported(make_config):
    with pytest.raises(NotMeasurable, match="fewer than two singers have two songs"):
        identification.closed_set(labelled(songs=1), CONFIG)
    with pytest.raises(NotMeasurable, match="3 singers are too few"):
        open_set(labelled(n_singers=3), make_config())
    few = identification.closed_set(labelled(n_singers=4), CONFIG)[0]
    assert [m.metric for m in few] == ["probe_top1", "centroid_top1"], "top-5 of four says nothing"
