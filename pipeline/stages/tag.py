"""Tagging: who sings each track, from a few known names, the files' credits, and the clusters.

- Everybody who is on the list of known names, or is credited on several tracks, is enrolled with one voice, made of
  those tracks. A credit counts by the probability that it is right (`pipeline.scoring.credits`), and a track is never
  compared with itself.
- The probability of each enrolled vocalist, and of none of them, comes from the track's own voice, from its cluster as
  a whole (`pipeline.scoring.posterior`), and from the track's own credits (`pipeline.scoring.enrolled`).
- If a probability reaches `min_probability`, the track gets that name (source `enrolled` if it is on the list, else
  `credited`). Otherwise it gets its cluster's `voice-0001`, ... (source `cluster`) or no name (`unknown`), and likely
  names are its candidates.
- A known track that does not sound like the others of its name, or in which two people sing, is in `doubt`
  (`pipeline.scoring.doubts`): the part that may not be its singer's is not used.
- `credit_probability` says how likely it is that the credited artist sings; a credit that is very likely wrong
  `disagrees`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from pipeline.people.names import key
from pipeline.scoring import credits as noisy
from pipeline.scoring import doubts
from pipeline.scoring.backend import Backend
from pipeline.scoring.crowd import NOBODY, are_few, nearby
from pipeline.scoring.enrolled import Answers, Enrolled, People
from pipeline.scoring.evidence import Evidence
from pipeline.scoring.metrics import NOISE
from pipeline.scoring.neighbours import nearest
from pipeline.scoring.same import Once
from pipeline.scoring.voices import Clips, Voices
from pipeline.sections import TagConfig

WRONG = 0.25  # a credit with a lower probability disagrees
WORTH = 0.05  # lowest probability of a candidate
# Doubts about known tracks, and the messages about such tracks
DOUBTS = {
    "misfit": "do not sound like the others given for their vocalist and are not used",
    "unlike": "are the only two of their vocalist and do not sound like one voice",
    "second voice": "have a part that does not sound like the others of their vocalist: it is left out",
    "two voices": "have two voices, and it is unclear whose they are: they are not used, give one track more",
}
NO_CLIPS = Clips(np.zeros((0, 0)), np.zeros(0), np.zeros(0), np.zeros(0, int))


@dataclass(frozen=True)
class Tags:
    """Who sings on each track.

    Attributes:
        rows: of each voice: `track_id`, `vocalist`, `score`, `probability`, `source`, `doubt`, `credit_probability`,
            `disagrees`.
        candidates: likely names of tracks without a name: `track_id`, `rank`, `vocalist`, `probability`, `score`.
    """

    rows: pd.DataFrame
    candidates: pd.DataFrame

    @property
    def misfits(self) -> list[str]:
        """The known tracks that do not sound like the others of their vocalist."""
        return self.rows.loc[self.rows["doubt"].isin(["misfit", "unlike"]), "track_id"].tolist()


def tag_voices(
    voices: Voices,
    backend: Backend,
    clusters: pd.DataFrame,
    known: Mapping[str, str],
    credits: pd.DataFrame,
    config: TagConfig,
    clips: Clips = NO_CLIPS,
    near: np.ndarray | None = None,
) -> Tags:
    """Give every voice a name, or none.

    Args:
        voices: (n,).
        backend: centred on these voices (`pipeline.scoring.centre.centred`).
        clusters: `cluster_id` and `probability` of each voice, and its cluster's name (`voice`) if it has one.
        known: track_id -> vocalist; tracks without a voice here are ignored.
        credits: `track_id`, `key`, `name`, a row per track and credited person.
        config: from which probability names are given, and whether credits count.
        clips: of the known tracks, to recognise duets; without them each track is taken as a whole.
        near: (n, k) the nearest others of each track, -1 if there are fewer; only used if people `are_many`, and then
            computed if not given.
    """
    group, q = _groups(clusters)
    credits = credits if config.use_credits else credits.iloc[:0]
    people = _people(voices.track_ids, known, credits)
    duets = np.isin(voices.track_ids, credits.loc[credits["track_id"].duplicated(), "track_id"])
    alone = doubts.alone(voices, clips, people.given, duets, backend)
    evidence = alone.evidence
    near_by = None
    if not are_few(len(people.names)):
        near = nearest(evidence, backend) if near is None else near
        near_by = nearby(near, people.credits.table(len(voices)))
    judged = noisy.judge(evidence, people.credits, backend, near_by)
    fit, doubt = _doubts(evidence, people, alone, backend)
    weight = np.where(people.credits.given & (fit < doubts.LIKELY)[people.credits.track], 0.0, judged.weight)
    answers = Enrolled(evidence, people, weight, judged, backend, group, q, near_by).answers()
    return _tags(voices.track_ids, people, answers, judged, clusters, fit, doubt, config)


def are_many(known: Mapping[str, str], credits: pd.DataFrame, config: TagConfig) -> bool:
    """Return whether so many people may be named that each track is compared only with those near it.

    Args:
        known, credits, config: as for `tag_voices`.
    """
    credited = credits["key"].unique() if config.use_credits else []
    return not are_few(len({*map(key, known.values()), *credited}))


def _groups(clusters: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return each track's group (n,), 0, 1, ..., and its probability (n,); a track in no cluster is a group."""
    labels = clusters["cluster_id"].to_numpy().astype(int)
    alone = labels == NOISE
    labels = np.where(alone, labels.max(initial=NOISE) + 1 + np.cumsum(alone), labels)
    return np.unique(labels, return_inverse=True)[1], np.where(alone, 0.0, clusters["probability"].to_numpy(float))


def _people(track_ids: np.ndarray, known: Mapping[str, str], credits: pd.DataFrame) -> People:
    """Return everybody who is known or credited; a credit that repeats its track's known name does not count twice."""
    ids = pd.Index(track_ids)
    listed = pd.DataFrame(
        [(track_id, key(name), name) for track_id, name in known.items()], columns=["track_id", "key", "name"]
    )
    listed, credits = (rows.assign(row=ids.get_indexer(rows["track_id"])) for rows in (listed, credits))
    listed, credits = listed[listed["row"] >= 0], credits[credits["row"] >= 0]
    everybody = pd.concat([listed.sort_values("name", kind="stable"), credits])[["key", "name"]]
    persons = pd.Index(everybody["key"].unique())
    names = everybody.drop_duplicates("key")["name"].tolist()
    given = persons.get_indexer(listed["key"])
    owner = np.full(len(track_ids), NOBODY)
    owner[listed["row"]] = given
    credited = persons.get_indexer(credits["key"])
    other = owner[credits["row"]] != credited
    rows = noisy.Credits(
        np.concatenate([listed["row"], credits["row"][other]]),
        np.concatenate([given, credited[other]]),
        np.arange(len(given) + int(other.sum())) < len(given),
        len(names),
    )
    return People(names, np.arange(len(names)) < listed["key"].nunique(), rows, owner)


def _doubts(evidence: Evidence, people: People, alone: doubts.Alone, backend: Backend) -> tuple[np.ndarray, np.ndarray]:
    """Return how likely each known track fits the others of its name (n,), NaN if unknown, and its doubt (n,).

    It takes three tracks of a name to tell which one does not fit.
    """
    known = np.flatnonzero(people.given != NOBODY)
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
    names: np.ndarray = np.array([*people.names, None], object)  # the last for no name
    has = found.which.shape[1] > 0
    best = found.which[:, 0] if has else np.full(n, NOBODY)
    probability = found.probability[:, 0].copy() if has else np.full(n, np.nan)
    score = found.score[:, 0].copy() if has else np.full(n, np.nan)
    given = people.given != NOBODY
    named = given | (np.nan_to_num(probability) >= config.min_probability)
    best = np.where(given, people.given, best)
    probability[given], score[given] = np.where(fit < doubts.LIKELY, fit, 1.0)[given], np.nan
    vocalist = names[np.where(named, best, NOBODY)]
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
    """Return how likely credits are right (n,): the mean of the log-odds from the voice alone and with its cluster."""
    both = expit((logit(np.clip(voice, 1e-9, 1 - 1e-9)) + logit(np.clip(whole, 1e-9, 1 - 1e-9))) / 2)
    return np.where(np.isfinite(whole), both, voice)


def of_all_files(tags: Tags, once: Once, clusters: pd.DataFrame) -> Tags:
    """Return the tags of all files, from those of recordings that count once.

    Args:
        tags: of the recordings.
        once: which recording each file is.
        clusters: `track_id` and `same_recording` of all files.
    """
    rows = once.expanded(tags.rows, clusters["track_id"].to_numpy())
    stands = tags.rows["track_id"].to_numpy()[once.of]
    files = pd.DataFrame({"track_id": stands, "file": rows["track_id"]})
    candidates = files.merge(tags.candidates, on="track_id").drop(columns="track_id")
    return Tags(
        rows.assign(same_recording=clusters["same_recording"].to_numpy()),
        candidates.rename(columns={"file": "track_id"}),
    )


def with_files(tags: pd.DataFrame, tracks: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the table: tags with the file's `uri`, `title` and artist tag (`file_artist`).

    Credits that disagree come first, the most certain ones at the top.
    """
    about = tracks[["track_id", "uri", "title", "artist"]].rename(columns={"artist": "file_artist"})
    rows = tags.merge(about, on="track_id", how="left")
    wrong = np.where(rows["disagrees"], rows["credit_probability"], np.inf)
    return rows.assign(wrong=wrong).sort_values(["wrong", "track_id"]).drop(columns="wrong").reset_index(drop=True)
