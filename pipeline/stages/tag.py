"""Tagging: who sings each track, from a few known names, the names that files are credited to, and the clusters.

- Everybody who is known from a list or credited on several tracks is enrolled: one voice, made of those tracks.
  Credits weigh as much as they are believed (`pipeline.scoring.credits`); a track is never compared with itself.
- The probability of each enrolled vocalist, and of none of them, comes from the track's own voice and from its cluster
  as a whole (`pipeline.scoring.posterior`), and from what the track itself is credited to.
- From `min_probability` on the name is given (source `enrolled`: known from the list, or `credited`). Below it the
  track has its cluster's `voice-0001`, ... (source `cluster`) or has no name (`unknown`), and the likely names are
  candidates.
- A known track whose voice does not fit the others of its name, or that two people sing, is in `doubt`
  (`pipeline.scoring.doubts`): what is not its singer's teaches nothing.
- `credit_probability` says how likely the credited artist sings; a credit that is very likely wrong `disagrees`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from pipeline.people.names import key
from pipeline.scoring import credits as noisy
from pipeline.scoring import doubts
from pipeline.scoring.backend import Backend, Evidence
from pipeline.scoring.crowd import Crowd
from pipeline.scoring.enrolled import Answers, Enrolled, People
from pipeline.scoring.metrics import NOISE
from pipeline.scoring.same import Once
from pipeline.scoring.voices import Clips, Voices
from pipeline.sections import TagConfig

WRONG = 0.25  # a credit that is right with less than this probability disagrees
WORTH = 0.05  # probability from which a candidate is shown
# Doubts about a known track, and what is said of such tracks
DOUBTS = {
    "misfit": "do not sound like the others given for their vocalist and teach nothing",
    "unlike": "are the only two of their vocalist and do not sound like one voice",
    "second voice": "have a part that does not sound like the others of their vocalist: it is left out",
    "two voices": "hold two voices, and nothing says whose they are: they teach nothing, give one track more",
}
NO_CLIPS = Clips(np.zeros((0, 0)), np.zeros(0), np.zeros(0), np.zeros(0, int))


@dataclass(frozen=True)
class Tags:
    """Who sings on each track.

    Attributes:
        rows: `track_id`, `vocalist`, `score`, `probability`, `source`, `doubt`, `credit_probability`, `disagrees` of
            each voice.
        candidates: the likely names of tracks without one: `track_id`, `rank`, `vocalist`, `probability`, `score`.
    """

    rows: pd.DataFrame
    candidates: pd.DataFrame

    @property
    def misfits(self) -> list[str]:
        """The known tracks that do not sound like the others given for their vocalist."""
        return self.rows.loc[self.rows["doubt"].isin(["misfit", "unlike"]), "track_id"].tolist()


def tag_voices(
    voices: Voices,
    backend: Backend,
    clusters: pd.DataFrame,
    known: Mapping[str, str],
    credits: pd.DataFrame,
    config: TagConfig,
    clips: Clips = NO_CLIPS,
) -> Tags:
    """Give every voice a name, or none.

    Args:
        voices: (n,).
        backend: with its centre in the middle of these voices (`pipeline.scoring.centre.centred`).
        clusters: `cluster_id` and `probability` of each voice, and its cluster's name (`voice`) where it has one.
        known: track_id -> vocalist; tracks without a voice here are ignored.
        credits: `track_id`, `key`, `name`, a row per track and credited person.
        clips: of the known tracks, in which duets are recognised; without them each track is taken whole.
    """
    group, q = _groups(clusters)
    credits = credits if config.use_credits else credits.iloc[:0]
    people = _people(voices.track_ids, known, credits)
    duets = np.isin(voices.track_ids, credits.loc[credits["track_id"].duplicated(), "track_id"])
    alone = doubts.alone(voices, clips, people.given, duets, backend)
    evidence = backend.evidence(alone.voices.means, alone.voices.seconds)
    crowd = Crowd.of(noisy.voices_of(evidence, people.credits, np.ones(len(people.credits.track))))
    near = crowd.likely(evidence)
    judged = noisy.judge(evidence, people.credits, backend, near)
    fit, doubt = _doubts(evidence, people, alone, backend)
    weight = np.where(people.credits.given & (fit < doubts.LIKELY)[people.credits.track], 0.0, judged.weight)
    answers = Enrolled(evidence, people, weight, judged, backend, group, q, crowd, near).answers()
    return _tags(voices.track_ids, people, answers, judged, clusters, fit, doubt, config)


def _groups(clusters: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return each track's group (n,), 0, 1, ..., of which a track in no cluster is one, and the odds to belong (n,)."""
    labels = clusters["cluster_id"].to_numpy().astype(int)
    alone = labels == NOISE
    labels = np.where(alone, labels.max(initial=NOISE) + 1 + np.cumsum(alone), labels)
    return np.unique(labels, return_inverse=True)[1], np.where(alone, 0.0, clusters["probability"].to_numpy(float))


def _people(track_ids: np.ndarray, known: Mapping[str, str], credits: pd.DataFrame) -> People:
    """Return everybody who is known or credited; whom a known track is credited to, under another name, stays out.

    A band's tag on its singer's known track is no vocalist beside the singer.
    """
    row = {track_id: i for i, track_id in enumerate(track_ids)}
    listed = [(row[track_id], key(name), name) for track_id, name in known.items() if track_id in row]
    credits = credits[credits["track_id"].isin(row.keys())]
    mine = {at: person for at, person, _ in listed}
    at = credits["track_id"].map(row).to_numpy(int) if len(credits) else np.zeros(0, int)
    names = {person: name for _, person, name in sorted(listed, key=lambda item: item[2])}
    n_known = len(names)
    for person, name in zip(credits["key"], credits["name"], strict=True):
        names.setdefault(person, name)
    number = {person: i for i, person in enumerate(names)}
    rows: list[tuple[int, int, bool]] = [(i, number[person], True) for i, person, _ in listed]
    rows += [(i, number[person], False) for i, person in zip(at, credits["key"], strict=True) if mine.get(i) != person]
    table = np.array(rows, int).reshape(-1, 3)
    track, person, given = table[:, 0], table[:, 1], table[:, 2].astype(bool)
    owner = np.full(len(track_ids), NOISE)
    owner[track[given]] = person[given]
    return People(
        list(names.values()), np.arange(len(names)) < n_known, noisy.Credits(track, person, given, len(names)), owner
    )


def _doubts(evidence: Evidence, people: People, alone: doubts.Alone, backend: Backend) -> tuple[np.ndarray, np.ndarray]:
    """Return how well each known track fits the others of its name (n,), NaN where nothing says; and its doubt (n,).

    Three make it clear which one does not fit.
    """
    known = np.flatnonzero(people.given != NOISE)
    fit, doubt = np.full(len(evidence), np.nan), np.full(len(evidence), None, object)
    fit[known] = doubts.fit(evidence[known], people.given[known], backend)
    of_many = np.bincount(people.given[known], minlength=1)[people.given] > 2
    doubt[alone.trimmed], doubt[alone.unclear] = "second voice", "two voices"
    doubt[(fit < doubts.LIKELY) & of_many], doubt[(fit < doubts.LIKELY) & ~of_many] = "misfit", "unlike"
    return fit, doubt


def _tags(
    track_ids: np.ndarray,
    people: People,
    found: Answers,
    judged: noisy.Judged,
    clusters: pd.DataFrame,
    fit: np.ndarray,
    doubt: np.ndarray,
    config: TagConfig,
) -> Tags:
    n = len(track_ids)
    names: np.ndarray = np.array([*people.names, None], object)  # the last is nobody's
    has = found.which.shape[1] > 0
    best = found.which[:, 0] if has else np.full(n, NOISE)
    probability = found.probability[:, 0].copy() if has else np.full(n, np.nan)
    score = found.score[:, 0].copy() if has else np.full(n, np.nan)
    given = people.given != NOISE
    named = given | (np.nan_to_num(probability) >= config.min_probability)
    best = np.where(given, people.given, best)
    probability[given], score[given] = np.where(fit < doubts.LIKELY, fit, 1.0)[given], np.nan
    vocalist = names[np.where(named, best, NOISE)]
    source = np.where(
        named, np.where(people.known[best] if len(people.known) else False, "enrolled", "credited"), "unknown"
    ).astype(object)
    if "voice" in clusters:
        rows = clusters["voice"].notna().to_numpy() & ~named
        vocalist[rows], source[rows], score[rows] = clusters["voice"].to_numpy()[rows], "cluster", np.nan
        probability[rows] = clusters["probability"].to_numpy()[rows]
    credit = np.where(given, np.nan, _agreed(judged.probability, found.credit))
    rows = pd.DataFrame(
        {
            "track_id": track_ids,
            "vocalist": vocalist,
            "score": score,
            "probability": probability,
            "source": source,
            "doubt": doubt,
            "credit_probability": credit,
            "disagrees": np.nan_to_num(credit, nan=1.0) < WRONG,
        }
    )
    at, rank = np.nonzero((found.probability >= WORTH) & ~named[:, None])
    candidates = pd.DataFrame(
        {
            "track_id": track_ids[at],
            "rank": (rank + 1).astype(np.int32),
            "vocalist": names[found.which[at, rank]],
            "probability": found.probability[at, rank],
            "score": found.score[at, rank],
        }
    )
    return Tags(rows, candidates)


def _agreed(voice: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return how likely credits are (n,): the mean of the log-odds by the voice alone and by its cluster too."""
    both = expit((logit(np.clip(voice, 1e-9, 1 - 1e-9)) + logit(np.clip(whole, 1e-9, 1 - 1e-9))) / 2)
    return np.where(np.isfinite(whole), both, voice)


def of_all_files(tags: Tags, once: Once, clusters: pd.DataFrame) -> Tags:
    """Return the tags of all files of recordings that count once; `clusters` has the files' `same_recording` (n,)."""
    rows = once.expanded(tags.rows, clusters["track_id"].to_numpy())
    stands = tags.rows["track_id"].to_numpy()[once.of]
    files = pd.DataFrame({"track_id": stands, "file": rows["track_id"]})
    candidates = files.merge(tags.candidates, on="track_id").drop(columns="track_id")
    return Tags(
        rows.assign(same_recording=clusters["same_recording"].to_numpy()),
        candidates.rename(columns={"file": "track_id"}),
    )


def with_files(tags: pd.DataFrame, tracks: pd.DataFrame) -> pd.DataFrame:
    """Return tags as the table has them, with the file's `uri`, `title` and artist tag (`file_artist`).

    Those that disagree come first, the surest of them first of all.
    """
    about = tracks[["track_id", "uri", "title", "artist"]].rename(columns={"artist": "file_artist"})
    rows = tags.merge(about, on="track_id", how="left")
    wrong = np.where(rows["disagrees"], rows["credit_probability"], np.inf)
    return rows.assign(wrong=wrong).sort_values(["wrong", "track_id"]).drop(columns="wrong").reset_index(drop=True)
