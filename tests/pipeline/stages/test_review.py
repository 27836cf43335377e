"""What to listen to next, on simulated voices with a few known names and credits."""

import numpy as np
import pandas as pd

from pipeline.people.names import key
from pipeline.scoring.backend import Backend, Numbers
from pipeline.scoring.voices import Voices
from pipeline.sections import ClusterConfig, TagConfig
from pipeline.stages import review
from pipeline.stages.cluster import cluster_voices
from pipeline.stages.tag import Tags, tag_voices
from pipeline.store import tables
from pipeline.store.workspace import Workspace

DIM = 64
BACKEND = Backend(np.zeros(DIM), np.eye(DIM), Numbers(0.6, 0.01, DIM, DIM / 2, 0.0))
CONFIG = TagConfig()
NOBODY = pd.DataFrame({"track_id": [], "key": [], "name": []}, dtype=object)


def catalogue(sizes: list[int], scatter: float = 0.8) -> tuple[Voices, np.ndarray, pd.DataFrame]:
    """Return voices, who sings them, and their clusters."""
    rng = np.random.default_rng(1)
    who = np.repeat(np.arange(len(sizes)), sizes)
    rows = rng.normal(size=(len(sizes), DIM))[who] + scatter * rng.normal(size=(len(who), DIM))
    ids = np.array([f"{i:032x}" for i in range(len(who))], object)
    voices = Voices(ids, rows / np.linalg.norm(rows, axis=1, keepdims=True), np.full(len(who), 60.0))
    return voices, who, cluster_voices(voices, BACKEND, ClusterConfig(umap=False))


def reviewed(voices: Voices, clusters: pd.DataFrame, known: dict, credits=NOBODY) -> tuple[pd.DataFrame, Tags]:
    """Return what to listen to next, and the tags that it was made from."""
    tags = tag_voices(voices, BACKEND, clusters, known, credits, CONFIG)
    return review.to_review(voices, BACKEND, clusters, known, tags, CONFIG), tags


def credited(voices: Voices, names: list[str]) -> pd.DataFrame:
    """Return a credit for each track that has a name."""
    frame = pd.DataFrame({"track_id": voices.track_ids, "key": [key(name) for name in names], "name": names})
    return frame[frame["name"] != ""]


def test_the_largest_unnamed_voice_comes_first_and_each_is_asked_about():
    voices, who, clusters = catalogue([8, 4, 6, 1, 1])
    known = {voices.track_ids[0]: "Ann"}
    found, tags = reviewed(voices, clusters, known)
    assert (tags.rows["vocalist"][:8] == "Ann").all()
    number = pd.Series(who, voices.track_ids)[found["track_id"]].tolist()
    assert number[:4] == [2, 1, 3, 4] or number[:4] == [2, 1, 4, 3]
    assert found["rank"].tolist() == list(range(1, len(found) + 1))
    assert (found["reason"] == review.UNNAMED).all()
    assert found["n_tracks"].tolist()[:2] == [6, 4] and 4 < found["settles"][0] <= 6


def test_answers_to_the_first_questions_name_more_tracks_than_others():
    voices, who, clusters = catalogue([6] * 4 + [1] * 60)
    found, _ = reviewed(voices, clusters, {})
    chosen = {track_id: f"Singer {who[int(track_id, 16)]}" for track_id in found["track_id"][:4]}
    lone = {voices.track_ids[i]: f"Singer {who[i]}" for i in range(24, 28)}
    named = [
        tag_voices(voices, BACKEND, clusters, known, NOBODY, CONFIG).rows["source"].eq("enrolled").sum()
        for known in (chosen, lone)
    ]
    assert named == [24, 4]


def test_a_track_with_a_likely_name_is_asked_about_and_the_name_offered():
    voices, _, clusters = catalogue([10, 1, 1, 1], scatter=1.25)
    found, tags = reviewed(voices, clusters, {voices.track_ids[0]: "Ann"})
    likely = found[found["reason"] == review.LIKELY_NAME]
    assert len(likely), "some of these are neither named nor unlike"
    offered = review.with_names(found, tags, NOBODY).set_index("track_id").loc[likely["track_id"]]
    assert (offered["candidates"].str[0] == "Ann").all()
    assert all(0.05 <= probability[0] < 0.95 for probability in offered["probabilities"])


def test_two_likely_names_are_a_reason_of_their_own():
    voices, _, _ = catalogue([1, 1, 1])
    found = pd.DataFrame({"track_id": voices.track_ids})
    rows = pd.DataFrame({"track_id": voices.track_ids, "credit_probability": [np.nan, np.nan, 0.2], "doubt": None})
    candidates = pd.DataFrame(
        [
            (voices.track_ids[0], 1, "Ann", 0.5),
            (voices.track_ids[0], 2, "Bob", 0.4),
            (voices.track_ids[1], 1, "Ann", 0.5),
        ],
        columns=["track_id", "rank", "vocalist", "probability"],
    )
    reasons = review._reasons(found["track_id"].to_numpy(), Tags(rows, candidates))
    assert reasons.tolist() == [review.TWO_NAMES, review.LIKELY_NAME, review.CREDIT]


def test_a_wrong_credit_is_asked_about_and_right_ones_are_not():
    voices, who, clusters = catalogue([6] * 6)
    names = [f"Singer {w}" for w in who]
    names[0] = "Singer 1"
    credits = credited(voices, names)
    found, tags = reviewed(voices, clusters, {}, credits)
    assert found["track_id"].tolist() == [voices.track_ids[0]]
    assert found["reason"].tolist() == [review.CREDIT] and 0.5 < found["settles"][0] <= 1
    offered = review.with_names(found, tags, credits)
    assert offered["candidates"][0] == ["Singer 0", "Singer 1"]
    assert offered["probabilities"][0][0] > 0.95 and offered["probabilities"][0][1] < 0.5


def test_a_known_track_in_doubt_is_asked_about_first():
    voices, _, clusters = catalogue([8, 8, 8, 8, 1])
    known = {voices.track_ids[i]: "Ann" for i in (0, 1, 2, 8)} | {voices.track_ids[9]: "Bob"}
    found, tags = reviewed(voices, clusters, known)
    assert tags.misfits == [voices.track_ids[8]]
    doubt = found[found["reason"] == review.KNOWN]
    assert doubt["track_id"].tolist() == tags.misfits
    assert doubt["settles"].item() == doubt["n_tracks"].item() / 4 > 2


def test_names_on_other_tracks_of_the_voice_are_offered():
    voices, who, clusters = catalogue([5, 5, 1, 1])
    names = [""] * len(who)
    names[3] = "Ann"
    credits = credited(voices, names)
    label = clusters["cluster_id"]
    named = clusters.assign(voice=("voice-" + label.astype(str)).where(label >= 0))
    found, tags = reviewed(voices, named, {}, credits)
    offered = review.with_names(found, tags, credits)
    asked = {int(track_id, 16): row for track_id, *row in offered[["track_id", "candidates"]].itertuples(index=False)}
    assert any(i < 5 and i != 3 and candidates == ["Ann"] for i, (candidates,) in asked.items())
    assert all(candidates == [] for i, (candidates,) in asked.items() if i >= 5)


def test_if_everything_is_known_there_are_no_questions():
    voices, _, clusters = catalogue([2, 2])
    none = voices[np.zeros(0, int)]
    found, tags = reviewed(none, clusters.iloc[:0], {})
    assert len(review.with_names(found, tags, NOBODY)) == 0
    every = dict.fromkeys(voices.track_ids[:2], "Ann") | dict.fromkeys(voices.track_ids[2:], "Bob")
    assert len(reviewed(voices, clusters, every)[0]) == 0


def test_each_question_starts_at_the_longest_clip(workspace: Workspace):
    clips = [("a", 0.0, 4.0), ("a", 6.0, 14.0), ("a", 20.0, 28.0), ("b", 1.0, 2.0)]
    tables.write(
        workspace,
        "embeddings",
        [{"track_id": i, "start_s": a, "end_s": b, "embedding": [1.0, 0.0]} for i, a, b in clips],
        "x",
    )
    assert review.starts(workspace, ["a", "gone"]) == {"a": 6.0}
