"""What to listen to next: the tracks whose answer would settle most tracks, best first.

An answer is a line in the list of known names. The questions are about

- tracks without a name, by how many tracks of the same voice would get one (`pipeline.scoring.settling`). Tracks have
  the same voice if they share their likeliest name, or else their cluster. A track with a credit counts itself only by
  the probability that the credit is wrong, since otherwise the answer is known;
- known tracks that do not sound like the others of their vocalist, by their share of all tracks with that name;
- credits that are more likely wrong than right.
"""

from collections.abc import Iterable, Mapping
from itertools import islice, takewhile

import numpy as np
import pandas as pd
from scipy.special import logit

from pipeline.people.names import key
from pipeline.scoring.backend import Backend
from pipeline.scoring.crowd import NOBODY
from pipeline.scoring.evidence import Evidence
from pipeline.scoring.metrics import NOISE
from pipeline.scoring.settling import Doubtful, Question, best_first
from pipeline.scoring.voices import Voices
from pipeline.sections import TagConfig
from pipeline.stages.tag import Tags
from pipeline.store import tables
from pipeline.store.workspace import Workspace

MOST = 1000  # rows of the table
WORTH = 0.1  # tracks that an answer has to settle to be worth a listener's time
LIKELY = 0.5  # probability from which a track is taken to be by its likeliest name, and a credit to be right
RIVAL = 0.2  # probability from which a second name counts as likely
SHOWN = 5  # candidates of a track
NAMED = ("enrolled", "credited")
UNNAMED, LIKELY_NAME, TWO_NAMES = "unnamed voice", "likely name", "two likely names"
CREDIT, KNOWN = "credit in doubt", "known track in doubt"


def to_review(
    voices: Voices, backend: Backend, clusters: pd.DataFrame, known: Mapping[str, str], tags: Tags, config: TagConfig
) -> pd.DataFrame:
    """Return the tracks to listen to, best first.

    Args:
        voices, backend, clusters, known, config: as for `tag_voices`.
        tags: what it returned.

    Returns:
        At most `MOST` rows: `track_id`, `rank` (1, 2, ...), `reason` (a constant of this module), `settles` (how many
        tracks are expected to get a name or to lose a wrong one) and `n_tracks` (how many may be by the same vocalist).
    """
    evidence = backend.evidence(voices.means, voices.seconds)
    doubtful = _doubtful(voices.track_ids, evidence, clusters, known, tags)
    asked = best_first(doubtful, _doubts(known, tags), evidence, backend, config.min_probability)
    found = list(islice(takewhile(lambda question: question.settles >= WORTH, asked), MOST))
    rows = np.array([question.row for question in found], int)
    return pd.DataFrame(
        {
            "track_id": voices.track_ids[rows],
            "rank": np.arange(1, len(found) + 1, dtype=np.int32),
            "reason": _reasons(rows, tags),
            "settles": np.array([question.settles for question in found], float),
            "n_tracks": np.array([question.n_tracks for question in found], np.int32),
        }
    )


def _doubtful(
    track_ids: np.ndarray, evidence: Evidence, clusters: pd.DataFrame, known: Mapping[str, str], tags: Tags
) -> Doubtful:
    """Return the tracks without a name, grouped by voice: by likeliest name, or else by cluster, or each alone."""
    n, cluster = len(track_ids), clusters["cluster_id"].to_numpy().astype(int)
    cluster = np.where(cluster == NOISE, cluster.max(initial=NOISE) + 1 + np.arange(n), cluster)
    rows = np.flatnonzero(~tags.rows["source"].isin(NAMED).to_numpy())
    first = tags.candidates[(tags.candidates["rank"] == 1) & (tags.candidates["probability"] >= LIKELY)]
    first = first.set_index("track_id").reindex(track_ids[rows])
    name, names = pd.factorize(first["vocalist"])
    likely = name != NOBODY
    label, voice, size = np.unique(np.where(likely, -1 - name, cluster[rows]), return_inverse=True, return_counts=True)
    order = np.argsort(voice, kind="stable")
    member, likeliest = clusters["probability"].to_numpy(float)[rows], first["probability"].to_numpy(float)
    odds = np.where(likely, logit(np.clip(likeliest, 1e-9, 1 - 1e-9)), np.log(size[voice] / max(n, 1)))
    return Doubtful(
        rows=rows[order],
        start=np.concatenate([[0], np.cumsum(size)]).astype(int),
        own=1.0 - np.nan_to_num(tags.rows["credit_probability"].to_numpy(float))[rows[order]],
        belief=np.where(likely, likeliest, member)[order],
        shared=np.where(likely, 0.0, member)[order],
        odds=odds[order],
        taught=_taught(evidence, known, tags, names, np.where(label < 0, -1 - label, NOBODY)),
    )


def _taught(evidence: Evidence, known: Mapping[str, str], tags: Tags, names: pd.Index, which: np.ndarray) -> Evidence:
    """Return the evidence there is about voices (v,): the known tracks of a voice's name, or else all with that name.

    Args:
        evidence: of all tracks.
        known: track_id -> vocalist.
        tags: of all tracks.
        names: of vocalists.
        which: (v,) the name of each voice as a row of `names`, NOBODY for none.
    """
    person = names.get_indexer(tags.rows["vocalist"].where(tags.rows["source"].isin(NAMED)))
    given = tags.rows["track_id"].isin(list(known)).to_numpy()
    person = np.where(np.isin(person, person[given]) & ~given, NOBODY, person)
    taught = evidence.summed(person, len(names) + 1)  # the last row is for voices without a name
    return taught[which]


def _doubts(known: Mapping[str, str], tags: Tags) -> list[Question]:
    """Return the tracks with a name whose known name or credit is in doubt."""
    rows = tags.rows.assign(row=np.arange(len(tags.rows)), given=tags.rows["track_id"].isin(list(known)))
    named = rows[rows["source"].isin(NAMED)]
    bearing = named.groupby("vocalist").agg(n=("row", "size"), given=("given", "sum"))
    misfits = named[named["track_id"].isin(tags.misfits)]
    hangs = bearing.reindex(misfits["vocalist"])
    found = [
        Question(row, float(n / given), n)
        for row, n, given in zip(misfits["row"], hangs["n"], hangs["given"], strict=True)
    ]
    doubted = named[named["credit_probability"] < LIKELY]
    return found + [
        Question(row, 1.0 - credit, 1)
        for row, credit in zip(doubted["row"], doubted["credit_probability"], strict=True)
    ]


def _reasons(rows: np.ndarray, tags: Tags) -> np.ndarray:
    """Return why each of some tracks `rows (k,)` is worth an answer."""
    asked = tags.rows.iloc[rows]
    rank, probability = tags.candidates["rank"], tags.candidates["probability"]
    rivals = tags.candidates[(rank == 2) & (probability >= RIVAL)]
    likely = tags.candidates[(rank == 1) & (probability >= LIKELY)]
    reasons = {
        KNOWN: asked["track_id"].isin(tags.misfits),
        CREDIT: asked["credit_probability"] < LIKELY,
        TWO_NAMES: asked["track_id"].isin(rivals["track_id"]),
        LIKELY_NAME: asked["track_id"].isin(likely["track_id"]),
    }
    return np.select(list(reasons.values()), list(reasons), UNNAMED).astype(object)


def with_names(found: pd.DataFrame, tags: Tags, credits: pd.DataFrame) -> pd.DataFrame:
    """Return the questions with the names that each track may get, `candidates`, and their `probabilities`.

    A probability is NaN if the name is only that of a known track in doubt, or only credited on other tracks of the
    same voice.

    Args:
        found: from `to_review`.
        tags: of all tracks.
        credits: `track_id`, `key`, `name`, a row per track and credited person.
    """
    rows = tags.rows.merge(found[["track_id"]], on="track_id")
    named = rows[rows["source"].isin(NAMED)]
    sure = named["probability"].where(~named["track_id"].isin(tags.misfits))
    own = rows.merge(credits, on="track_id").rename(columns={"credit_probability": "likely"})
    voice = rows.loc[rows["source"] == "cluster", ["track_id", "vocalist"]]
    others = tags.rows.loc[tags.rows["vocalist"].isin(voice["vocalist"]), ["track_id", "vocalist"]]
    others = others.merge(credits, on="track_id").value_counts(["vocalist", "name"]).reset_index()
    listed = pd.concat(
        [
            tags.candidates.rename(columns={"vocalist": "name", "probability": "likely"}).merge(found[["track_id"]]),
            pd.DataFrame({"track_id": named["track_id"], "name": named["vocalist"], "likely": sure}),
            own,
            voice.merge(others, on="vocalist"),
        ]
    )[["track_id", "name", "likely"]]
    listed = listed.assign(person=listed["name"].map(key)).drop_duplicates(["track_id", "person"])
    listed = listed[listed.groupby("track_id").cumcount() < SHOWN].groupby("track_id")
    lists = {"candidates": listed["name"].agg(list), "probabilities": listed["likely"].agg(list)}
    return found.assign(
        **{column: [values.get(track_id, []) for track_id in found["track_id"]] for column, values in lists.items()}
    )


def with_files(found: pd.DataFrame, tracks: pd.DataFrame, starts: Mapping[str, float]) -> pd.DataFrame:
    """Return the rows of the table: the questions with `uri`, `title`, artist tag, and where the singing starts."""
    about = tracks[["track_id", "uri", "title", "artist"]].rename(columns={"artist": "file_artist"})
    start_s = found["track_id"].map(starts).astype(float).fillna(0.0)
    return found.assign(start_s=start_s).merge(about, on="track_id", how="left")


def starts(workspace: Workspace, track_ids: Iterable[str]) -> dict[str, float]:
    """Return for each track where its longest clip starts, in seconds."""
    longest: dict[str, tuple[float, float]] = {}
    for part in tables.iter_arrow(workspace, "embeddings", ["track_id", "start_s", "end_s"], set(track_ids)):
        for track_id, start_s, end_s in zip(*(column.to_pylist() for column in part.columns), strict=True):
            longest[track_id] = max((end_s - start_s, -start_s), longest.get(track_id, (0.0, 0.0)))
    return {track_id: -start for track_id, (_, start) in longest.items()}
