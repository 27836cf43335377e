"""Tagging: who sings each track, from a few known names, the names that files are credited to, and the clusters.

- Everybody who is known from a list or credited on several tracks is enrolled: one voice, made of those tracks.
  Credits weigh as much as they are believed (`pipeline.scoring.credits`); a track is never compared with itself.
- The probability of each enrolled vocalist, and of none of them, comes from the track's own voice and from its cluster
  as a whole (`pipeline.scoring.posterior`), and from what the track itself is credited to.
- From `min_probability` on the name is given (source `enrolled`: known from the list, or `credited`). Below it the
  track has its cluster's `voice-0001`, ... (source `cluster`) or has no name (`unknown`), and the likely names are
  candidates.
- `credit_probability` says how likely the credited artist sings; a credit that is very likely wrong `disagrees`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from pipeline.people.names import key
from pipeline.scoring import credits as noisy
from pipeline.scoring.backend import Backend, Evidence
from pipeline.scoring.centre import centred
from pipeline.scoring.crowd import Crowd, are_few, compared
from pipeline.scoring.metrics import NOISE
from pipeline.scoring.neighbours import in_blocks
from pipeline.scoring.posterior import likeliest, mean_ratio, posterior, prior_of_none, reweighted
from pipeline.scoring.voices import Voices
from pipeline.sections import TagConfig

WRONG = 0.25  # a credit that is right with less than this probability disagrees
SHOWN = 3  # candidates of a track
WORTH = 0.05  # probability from which a candidate is shown
BELIEVED = 1.5  # credits, each by its probability, from which on a person who is on no list is enrolled
MISFIT = 0.05  # a known track fits with less than this probability: it does not teach


@dataclass(frozen=True)
class Tags:
    """Who sings on each track.

    Attributes:
        rows: `track_id`, `vocalist`, `score`, `probability`, `source`, `credit_probability`, `disagrees` of each voice.
        candidates: the likely names of tracks without one: `track_id`, `rank`, `vocalist`, `probability`, `score`.
        misfits: the known tracks that do not sound like the others given for their vocalist.
    """

    rows: pd.DataFrame
    candidates: pd.DataFrame
    misfits: list[str]


@dataclass(frozen=True)
class People:
    """Everybody who may be named: `names`, who of them is `known` from the list (m,) bool, and all their credits."""

    names: list[str]
    known: np.ndarray
    credits: noisy.Credits
    given: np.ndarray  # (n,) the known vocalist of each track, NOISE for none


def tag_voices(
    voices: Voices,
    backend: Backend,
    clusters: pd.DataFrame,
    known: Mapping[str, str],
    credits: pd.DataFrame,
    config: TagConfig,
) -> Tags:
    """Give every voice a name, or none.

    Args:
        voices: (n,). backend: as it came with the encoder. clusters: `cluster_id`, `probability`, row for row, and the
            clusters' names (`voice`) where they have any.
        known: track_id -> vocalist; those that are no voice here are passed over.
        credits: `track_id`, `key`, `name`, a row per track and credited person.
    """
    group, q = _groups(clusters)
    backend = centred(voices, backend)
    evidence = backend.evidence(voices.means, voices.seconds)
    people = _people(voices.track_ids, known, credits if config.use_credits else credits.iloc[:0])
    crowd = Crowd.of(noisy.voices_of(evidence, people.credits, np.ones(len(people.credits.track))))
    near = crowd.likely(evidence)
    judged = noisy.judge(evidence, people.credits, backend, near)
    misfit = _misfits(evidence, people, backend)
    weight = np.where(misfit, 0.0, judged.weight)
    answers = _Answers(evidence, people, weight, judged, backend, group, q, crowd, near).all()
    return _tags(voices.track_ids, people, answers, judged, clusters, misfit, config)


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


def _misfits(evidence: Evidence, people: People, backend: Backend) -> np.ndarray:
    """Return which rows (r,) are known tracks whose voice is not that of the others given for the same vocalist.

    Three make it clear which one it is.
    """
    rows = people.credits
    ratio, audible = noisy.own_voices(evidence, rows, rows.given.astype(float), backend)
    several = np.bincount(rows.person[rows.given], minlength=rows.n_people) > 2
    usual = logit(noisy.USUALLY_RIGHT[0] / sum(noisy.USUALLY_RIGHT))
    return rows.given & audible & several[rows.person] & (expit(ratio + usual) < MISFIT)


@dataclass(frozen=True)
class _Answer:
    """What is answered for n tracks, of the k likeliest people each.

    Attributes:
        which: (n, k) the people.
        probability: (n, k) theirs.
        score: (n, k) the track's own ratio with them.
        credit: (n,) probability that one of those sings whom it is credited to; NaN where none of them is enrolled.
    """

    which: np.ndarray
    probability: np.ndarray
    score: np.ndarray
    credit: np.ndarray


class _Answers:
    """The weighing of all tracks against all enrolled, block by block."""

    def __init__(
        self,
        evidence: Evidence,
        people: People,
        weight: np.ndarray,
        judged: noisy.Judged,
        backend: Backend,
        group: np.ndarray,
        q: np.ndarray,
        crowd: Crowd,
        near: np.ndarray | None,
    ):
        rows = people.credits
        believed = np.bincount(rows.person, weight, minlength=rows.n_people)
        several = np.bincount(rows.person, minlength=rows.n_people) > 1
        tagged = np.zeros(rows.n_people, bool)
        tagged[rows.person[(people.given[rows.track] != NOISE) & ~rows.given]] = True
        self.enrolled = np.flatnonzero((people.known | (several & (believed >= BELIEVED) & ~tagged)) & (believed > 0))
        self.column = np.full(rows.n_people, NOISE)
        self.column[self.enrolled] = np.arange(len(self.enrolled))
        self.evidence, self.people, self.backend, self.judged = evidence, people, backend, judged
        self.weight, self.group = weight, group
        self.voices = noisy.voices_of(evidence, rows, weight)[self.enrolled]
        # What is in a vocalist's voice already says nothing more of it through the cluster.
        taken = np.zeros(len(evidence))
        modelled = self.column[rows.person] >= 0
        self.mine = np.flatnonzero(modelled)[np.argsort(rows.track[modelled], kind="stable")]
        self.named = np.bincount(rows.track, ~rows.given, minlength=len(evidence))
        self.mine_of = rows.track[self.mine]
        np.add.at(taken, rows.track[modelled], weight[modelled])
        self.q = q * self._agreement(modelled)[group]
        left = np.clip(1.0 - taken, 0.0, 1.0)
        rest = Evidence(evidence.vector * left[:, None].astype(np.float32), evidence.precision * left)
        self.rest = rest.summed(group, int(group.max(initial=-1)) + 1)
        self.near: tuple[np.ndarray, np.ndarray] | None = None  # the enrolled near each track and each group, (…, k)
        if near is not None and not are_few(self.voices):
            several = np.bincount(group) > 1
            of_groups = np.full((len(several), near.shape[1]), NOISE)
            of_groups[several] = crowd.likely(self.rest[several])
            self.near = self._columns(near), self._columns(of_groups)

    def _agreement(self, modelled: np.ndarray) -> np.ndarray:
        """Return how far the names in each group (g,) agree: 1 if they are one vocalist's, 0 if half of them are not.

        A group that holds several vocalists' tracks is not one voice, and does not speak for its tracks.
        """
        rows, n = self.people.credits, len(self.enrolled)
        cell = self.group[rows.track[modelled]] * n + self.column[rows.person[modelled]]
        found, at = np.unique(cell, return_inverse=True)
        weight = np.bincount(at, self.weight[modelled], minlength=len(found))
        n_groups = int(self.group.max(initial=-1)) + 1
        total, most = np.zeros(n_groups), np.zeros(n_groups)
        np.add.at(total, found // max(n, 1), weight)
        np.maximum.at(most, found // max(n, 1), weight)
        return np.where(total > 0, np.clip(2 * most / np.maximum(total, 1e-9) - 1, 0.0, 1.0) ** 2, 1.0)

    def _columns(self, people: np.ndarray) -> np.ndarray:
        return np.where(people >= 0, self.column[people], NOISE)

    def all(self) -> _Answer:
        """Return the answers for all tracks."""
        n, k, m = len(self.evidence), min(SHOWN, len(self.enrolled)), len(self.enrolled)
        found = _Answer(np.full((n, k), NOISE), np.zeros((n, k)), np.full((n, k), np.nan), np.full(n, np.nan))
        if not n or not k:
            return found
        asked = self.people.given == NOISE

        def anyone(rows: slice) -> np.ndarray:
            return mean_ratio(self._ratios(rows, self._which(rows)), m)

        none = prior_of_none(np.concatenate(in_blocks(anyone, n))[asked])

        def answer(rows: slice) -> None:
            which = self._which(rows)
            ratios = self._ratios(rows, which)
            probability = reweighted(self._blended(rows, ratios, which, none), self._factors(rows, which, none))
            best = likeliest(probability[:, :-1], k)
            names = best.which if which is None else np.take_along_axis(which, best.which, 1)
            found.which[rows] = np.where(names >= 0, self.enrolled[names], NOISE)
            found.probability[rows] = best.probability
            found.score[rows] = np.take_along_axis(ratios, best.which, 1)
            at, column, _ = self._own(rows)
            own = np.bincount(at, probability[at, _place(which, at, column)], minlength=len(ratios))
            found.credit[rows] = np.where(np.bincount(at, minlength=len(ratios)) > 0, own, np.nan)

        in_blocks(answer, n)
        return found

    def _which(self, rows: slice) -> np.ndarray | None:
        """Return the enrolled (b, c) that a block's tracks are compared with, negative for none; None for all.

        They are those near the track, those near its group, and those credited on it.
        """
        if self.near is None:
            return None
        at, column, _ = self._own(rows)
        rank = np.arange(len(at)) - np.searchsorted(at, at)
        own = np.full((rows.stop - rows.start, rank.max(initial=-1) + 1), NOISE)
        own[at, rank] = column
        found = np.sort(np.hstack([self.near[0][rows], self.near[1][self.group[rows]], own]), axis=1)
        found[:, 1:][found[:, 1:] == found[:, :-1]] = NOISE
        return found

    def _ratios(self, rows: slice, which: np.ndarray | None) -> np.ndarray:
        """Return the ratios (b, c + 1) of a block's tracks with the enrolled, but for their own part in them."""
        ratios = compared(self.evidence[rows], self.voices, which, self.backend)
        at, column, mine = self._own(rows)
        tracks, weight = self.evidence[rows.start + at], self.weight[mine]
        own = Evidence(tracks.vector * weight[:, None].astype(np.float32), tracks.precision * weight)
        alone = self.backend.pairs(tracks, self.voices[column] - own)
        ratios[at, _place(which, at, column)] = np.where(np.isfinite(alone), alone, 0.0)
        return _known(ratios, which)

    def _own(self, rows: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return a block's credits of the enrolled: whose they are within it, in order, their columns, and rows."""
        mine = self.mine[slice(*np.searchsorted(self.mine_of, [rows.start, rows.stop]))]
        return self.people.credits.track[mine] - rows.start, self.column[self.people.credits.person[mine]], mine

    def _blended(self, rows: slice, ratios: np.ndarray, which: np.ndarray | None, none: float) -> np.ndarray:
        """Return the probabilities (b, c + 1) by the tracks' own voices and by those of their clusters."""
        m = len(self.enrolled)
        whole = compared(self.rest[self.group[rows]], self.voices, which, self.backend)
        q = np.where(np.isfinite(whole).any(1), self.q[rows], 0.0)[:, None]
        return q * posterior(_known(whole, which), none, m) + (1 - q) * posterior(ratios, none, m)

    def _factors(self, rows: slice, which: np.ndarray | None, none: float) -> np.ndarray:
        """Return what a track's own credits make of the odds (b, c + 1) of each vocalist against none."""
        right, named = self.judged.right, self.named[rows]
        at, column, mine = self._own(rows)
        credit = ~self.people.credits.given[mine]
        at, column = at[credit], column[credit]
        inside = np.bincount(at, minlength=len(named)) / np.maximum(named, 1)  # the part of the credit that is enrolled
        nobody = np.where(named > 0, right * (1 - inside) + (1 - right) * none, none)
        width = (len(self.enrolled) if which is None else which.shape[1]) + 1
        factors = np.repeat((np.where(named > 0, 1 - right, 1.0) * none / nobody)[:, None], width, axis=1)
        factors[at, _place(which, at, column)] = right / named[at] * len(self.enrolled) / (1 - none) * none / nobody[at]
        return factors


def _place(which: np.ndarray | None, at: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Return where in rows `at (r,)` of what is compared the enrolled `column (r,)` stands."""
    return column if which is None else (which[at] == column[:, None]).argmax(1)


def _known(ratios: np.ndarray, which: np.ndarray | None) -> np.ndarray:
    """Return ratios (b, c + 1) that say nothing, 0, where a voice is not known; -inf stays where there is none."""
    there = np.zeros(ratios.shape, bool)
    there[:, :-1] = which is None or which >= 0
    return np.where(there & ~np.isfinite(ratios), 0.0, ratios).astype(float)


def _tags(
    track_ids: np.ndarray,
    people: People,
    found: _Answer,
    judged: noisy.Judged,
    clusters: pd.DataFrame,
    misfit: np.ndarray,
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
    probability[given], score[given] = 1.0, np.nan
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
    return Tags(rows, candidates, sorted(str(track_ids[i]) for i in people.credits.track[misfit]))


def _agreed(voice: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return how likely credits are (n,): the mean of the log-odds by the voice alone and by its cluster too."""
    both = expit((logit(np.clip(voice, 1e-9, 1 - 1e-9)) + logit(np.clip(whole, 1e-9, 1 - 1e-9))) / 2)
    return np.where(np.isfinite(whole), both, voice)


def with_files(tags: pd.DataFrame, tracks: pd.DataFrame) -> pd.DataFrame:
    """Return tags as the table has them, with the file's `uri`, `title` and artist tag (`file_artist`).

    Those that disagree come first, the surest of them first of all.
    """
    about = tracks[["track_id", "uri", "title", "artist"]].rename(columns={"artist": "file_artist"})
    rows = tags.merge(about, on="track_id", how="left")
    wrong = np.where(rows["disagrees"], rows["credit_probability"], np.inf)
    return rows.assign(wrong=wrong).sort_values(["wrong", "track_id"]).drop(columns="wrong").reset_index(drop=True)
