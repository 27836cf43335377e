import numpy as np
import pandas as pd
import pytest

from pipeline.evaluate import answers
from pipeline.evaluate.answers import Asked
from pipeline.people.names import key
from pipeline.scoring.backend import Backend, Numbers
from pipeline.scoring.metrics import NotMeasurable
from pipeline.scoring.voices import Clips, Voices
from pipeline.sections import ClusterConfig, TagConfig
from pipeline.stages.cluster import cluster_voices

DIM = 64
BACKEND = Backend(np.zeros(DIM), np.eye(DIM), Numbers(0.6, 0.01, DIM, DIM / 2, 0.0))


@pytest.fixture(scope="module")
def catalogue() -> tuple[Voices, np.ndarray, pd.DataFrame]:
    """Return the voices of ten singers with six songs each and of 20 with one, who they are, and their clusters."""
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(30), [6] * 10 + [1] * 20)
    rows = rng.normal(size=(30, DIM))[who] + 0.8 * rng.normal(size=(len(who), DIM))
    voices = Voices(
        np.arange(len(who)).astype(str).astype(object),
        rows / np.linalg.norm(rows, axis=1, keepdims=True),
        np.full(len(who), 60.0),
    )
    singer = np.array([f"Singer {i}" for i in who], object)
    return voices, singer, cluster_voices(voices, BACKEND, ClusterConfig(umap=False))


def clips_of(voices: Voices) -> Clips:
    """Return a clip of each track."""
    return Clips(voices.means, np.zeros(len(voices)), voices.seconds, np.arange(len(voices)))


def test_clear_voices_are_named_and_strangers_are_not(catalogue):
    voices, singer, clusters = catalogue
    asked, _ = answers.ask(voices, singer, np.arange(0, 30, 6), clusters, BACKEND, TagConfig(), clips_of(voices))
    assert len(asked.right) == len(voices) - 5, "what is given is not asked"
    assert asked.could.sum() == 25
    found = answers.measures(asked)
    assert found["named_right"] > 0.95
    assert found["named"] > 0.9
    assert found["strangers_named"] == 0
    assert found["dir_at_1pct_false_alarms"] > 0.9


def test_found_and_accused_credits_are_counted(catalogue):
    voices, singer, clusters = catalogue
    credit = singer.copy()
    credit[[0, 30]] = credit[[30, 0]]
    credits = pd.DataFrame({"track_id": voices.track_ids, "key": [key(name) for name in credit], "name": credit})
    none = np.zeros(0, int)
    _, tags = answers.ask(voices, singer, none, clusters, BACKEND, TagConfig(), clips_of(voices), credits)
    assert answers.accused(tags, credit != singer) == {"precision": 1.0, "recall": 1.0, "accused": 0.0}


def test_a_duet_among_the_known_tracks_is_treated_as_in_the_tag_stage(catalogue):
    voices, singer, clusters = catalogue
    means = voices.means.copy()
    means[0] = (voices.means[0] + voices.means[6]) / 2  # two people sing one half each
    mixed = Voices(voices.track_ids, means, voices.seconds)
    alone = clips_of(mixed)
    clips = Clips(
        np.concatenate([voices.means[[0, 6]], means[1:]]),
        np.zeros(len(voices) + 1),
        np.concatenate([[30.0, 30.0], voices.seconds[1:]]),
        np.append(0, alone.track),
    )
    given = np.array([0, 1, 2, 12])
    _, whole = answers.ask(mixed, singer, given, clusters, BACKEND, TagConfig(), alone)
    _, told = answers.ask(mixed, singer, given, clusters, BACKEND, TagConfig(), clips)
    assert whole.rows["doubt"].isna().all()
    assert told.rows.set_index("track_id")["doubt"].dropna().to_dict() == {"0": "second voice"}


def test_measures_of_answers_computed_by_hand():
    asked = Asked(
        probability=np.array([0.96, 0.99, 0.3, 0.97, 0.1, 0.0]),
        right=np.array([True, True, True, False, False, False]),
        named=np.array([True, True, False, True, False, False]),
        could=np.array([True, True, True, False, False, False]),
        singer=np.array(list("aabcde")),
    )
    found = answers.measures(asked)
    assert found["named_right"] == pytest.approx(2 / 3)
    assert found["named"] == pytest.approx(2 / 3)
    assert found["strangers_named"] == pytest.approx(1 / 3)
    assert found["dir_at_1pct_false_alarms"] == pytest.approx(1 / 3), "above the stranger's 0.97"
    assert np.isnan(found["worst_bin"]), "no bin is full"
    both = Asked.joined([asked, asked])
    assert answers.measures(both) == pytest.approx(found, nan_ok=True)


def test_bins_give_stated_probabilities_and_shares_of_right_answers():
    stated = np.repeat([0.05, 0.95], 50)
    right = np.arange(100) >= 45
    found = answers.bins(stated, right)
    assert found["n"].tolist() == [50, 50]
    assert found["right"].tolist() == [0.1, 1.0]
    assert found["stated"].tolist() == pytest.approx([0.05, 0.95])


def test_without_strangers_nothing_can_be_measured():
    yes = np.ones(3, bool)
    with pytest.raises(NotMeasurable, match="singers who are not"):
        answers.measures(Asked(np.ones(3), yes, yes, yes, np.array(list("abc"))))


def test_groups_are_measured_by_b_cubed(catalogue):
    _, singer, clusters = catalogue
    assert answers.grouped(singer, clusters).f1 > 0.95
