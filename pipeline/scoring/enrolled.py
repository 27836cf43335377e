"""Who sings each track: every track weighed against everybody who is enrolled, block by block.

A person is enrolled who is on the list of known names, or who is credited on several tracks and likely sings on them; a
name that is credited on another vocalist's known track (a singer's band, say) is not. Each track is compared with the
voices of the enrolled twice, by its own voice and by its cluster's, and then its own credits change the odds. If a
track is part of a voice, that part is left out before the two are compared.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from pipeline.scoring.backend import Backend
from pipeline.scoring.credits import Credits, Judged, voices_of
from pipeline.scoring.crowd import NOBODY, also, are_few, compared, indicator, most_often, place
from pipeline.scoring.evidence import Evidence
from pipeline.scoring.neighbours import in_blocks
from pipeline.scoring.posterior import likeliest, mean_ratio, posterior, prior_of_none, reweighted

MOST = 3  # people that each track's answer holds, the likeliest first
PRIOR_OF = 100_000  # tracks, at least, of which it is estimated how many are by nobody who is enrolled
BELIEVED = 1.5  # credits, each counted by its probability, that enrol a person who is on no list


@dataclass(frozen=True)
class People:
    """Everybody who may be named.

    Attributes:
        names: of the m people.
        known: (m,) bool, who is on the list of known names.
        credits: which tracks they are credited on or known for.
        given: (n,) the known vocalist of each track, NOBODY for none.
    """

    names: list[str]
    known: np.ndarray
    credits: Credits
    given: np.ndarray


@dataclass(frozen=True)
class Answers:
    """The k likeliest people of each of n tracks.

    Attributes:
        which: (n, k) the people, NOBODY where there are fewer than k.
        probability: (n, k) that each of them sings the track.
        score: (n, k) log-likelihood ratio of the track's own voice with theirs.
        credit: (n,) probability that one of the people whom the track is credited to sings it; NaN where none of them
            is enrolled.
    """

    which: np.ndarray
    probability: np.ndarray
    score: np.ndarray
    credit: np.ndarray


class Enrolled:
    """The people who are enrolled, and what the tracks are weighed by.

    Args:
        evidence: of the n tracks.
        people: who may be named.
        weight: (r,) of each row of their credits in its person's voice.
        judged: how likely the credits are right.
        backend: whose centre is the catalogue's.
        group: (n,) of each track, 0, 1, ...; a track in no cluster is a group.
        q: (n,) probability that a track belongs to its group.
        near: (n, k) the people near each track, NOBODY for none; None where each track is compared with all.
    """

    def __init__(
        self,
        evidence: Evidence,
        people: People,
        weight: np.ndarray,
        judged: Judged,
        backend: Backend,
        group: np.ndarray,
        q: np.ndarray,
        near: np.ndarray | None,
    ):
        rows = people.credits
        believed = np.bincount(rows.person, weight, minlength=rows.n_people)
        several = np.bincount(rows.person, minlength=rows.n_people) > 1
        tagged = np.zeros(rows.n_people, bool)
        tagged[rows.person[(people.given[rows.track] != NOBODY) & ~rows.given]] = True
        self.enrolled = np.flatnonzero((people.known | (several & (believed >= BELIEVED) & ~tagged)) & (believed > 0))
        self.column = np.full(rows.n_people, NOBODY, np.int32)
        self.column[self.enrolled] = np.arange(len(self.enrolled))
        self.evidence, self.people, self.backend, self.judged = evidence, people, backend, judged
        self.weight, self.group = weight, group
        self.voices = voices_of(evidence, rows, weight)[self.enrolled]
        # A track that is part of a vocalist's voice does not count for it again through the cluster.
        taken = np.zeros(len(evidence))
        modelled = self.column[rows.person] >= 0
        self.mine = np.flatnonzero(modelled)[np.argsort(rows.track[modelled], kind="stable")]
        self.named = np.bincount(rows.track, ~rows.given, minlength=len(evidence))
        self.mine_of = rows.track[self.mine]
        np.add.at(taken, rows.track[modelled], weight[modelled])
        self.q = q * self._agreement(modelled)[group]
        left = np.clip(1.0 - taken, 0.0, 1.0)
        self.rest = evidence.scaled(left).summed(group, int(group.max(initial=-1)) + 1)
        self.wide = self.voices + self.rest.mixed(self._company(modelled, q))
        self.near: tuple[np.ndarray, np.ndarray] | None = None  # the enrolled near each track and each group, (…, k)
        if near is not None and not are_few(len(self.enrolled)):
            self.near = self._columns(near), self._columns(self._near_groups(near))

    def _near_groups(self, near: np.ndarray) -> np.ndarray:
        """Return the people (g, k) whom the tracks of a group credit, or are near to, most often; NOBODY for one track.

        Args:
            near: (n, k) the people near each track.
        """
        n, m = len(self.group), self.people.credits.n_people
        several = np.flatnonzero((np.bincount(self.group) > 1)[self.group])
        members = csr_matrix(
            (np.ones(len(several)), (self.group[several], np.arange(len(several)))), (len(self.rest), len(several))
        )
        return most_often(members @ (indicator(near[several], m) + self.people.credits.table(n)[several]))

    def _company(self, modelled: np.ndarray, q: np.ndarray) -> csr_matrix:
        """Return how surely each group is each enrolled vocalist's (m, g), by the vocalists of its tracks."""
        rows, weight = self.people.credits, self.weight[modelled]
        track = rows.track[modelled]
        cell = self.column[rows.person[modelled]], self.group[track]
        shape = len(self.enrolled), len(self.rest)
        belongs = csr_matrix((weight * q[track], cell), shape)
        total = np.bincount(self.group[track], weight, minlength=len(self.rest))
        belongs.data = np.clip(2 * belongs.data / np.maximum(total[belongs.indices], 1e-9) - 1, 0, 1) ** 2
        return belongs

    def _agreement(self, modelled: np.ndarray) -> np.ndarray:
        """Return how far the names in each group (g,) agree: 1 if all are one's, 0 if half or more are others'.

        A group with tracks by several vocalists is not one voice and says nothing about its tracks.
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
        return np.where(people >= 0, self.column[people], NOBODY)

    def answers(self) -> Answers:
        """Return the likeliest people of all tracks."""
        n, k, m = len(self.evidence), min(MOST, len(self.enrolled)), len(self.enrolled)
        found = Answers(np.full((n, k), NOBODY), np.zeros((n, k)), np.full((n, k), np.nan), np.full(n, np.nan))
        if not n or not k:
            return found

        def anyone(rows: slice) -> np.ndarray:
            return mean_ratio(self._ratios(rows, self._which(rows)), m)[self.people.given[rows] == NOBODY]

        none = prior_of_none(np.concatenate(in_blocks(anyone, n, max(1, n // PRIOR_OF))))

        def answer(rows: slice) -> None:
            which = self._which(rows)
            ratios = self._ratios(rows, which)
            probability = reweighted(self._blended(rows, ratios, which, none), self._factors(rows, which, none))
            best = likeliest(probability[:, :-1], k)
            names = best.which if which is None else np.take_along_axis(which, best.which, 1)
            cells = rows, slice(best.which.shape[1])  # a block's tracks may be near fewer people than an answer holds
            found.which[cells] = np.where(names >= 0, self.enrolled[names], NOBODY)
            found.probability[cells] = best.probability
            found.score[cells] = np.take_along_axis(ratios, best.which, 1)
            at, column, _ = self._own(rows)
            own = np.bincount(at, probability[at, place(which, at, column)], minlength=len(ratios))
            found.credit[rows] = np.where(np.bincount(at, minlength=len(ratios)) > 0, own, np.nan)

        in_blocks(answer, n)
        return found

    def _which(self, rows: slice) -> np.ndarray | None:
        """Return the enrolled (b, c) that a block's tracks are compared with, negative for none; None if with all.

        These are the enrolled near the track, those near its group, and those credited on it.
        """
        if self.near is None:
            return None
        at, column, _ = self._own(rows)
        return also(np.hstack([self.near[0][rows], self.near[1][self.group[rows]]]), at, column)

    def _ratios(self, rows: slice, which: np.ndarray | None) -> np.ndarray:
        """Return the ratios (b, c + 1) of a block's tracks with the enrolled voices, less the tracks' part in them."""
        ratios = self._compared(self.evidence[rows], which)
        at, column, mine = self._own(rows)
        tracks = self.evidence[rows.start + at]
        alone = self.backend.pairs(tracks, self.voices[column] - tracks.scaled(self.weight[mine]))
        ratios[at, place(which, at, column)] = np.where(np.isfinite(alone), alone, 0.0)
        return _known(ratios, which)

    def _compared(self, evidence: Evidence, which: np.ndarray | None) -> np.ndarray:
        """Return the ratios (b, c + 1) with the enrolled, by their tracks alone or with their groups, the lower one.

        What does not sound like the group that holds a vocalist's tracks is not by that vocalist.
        """
        own, wide = (compared(evidence, voices, which, self.backend) for voices in (self.voices, self.wide))
        return np.minimum(own, wide)

    def _own(self, rows: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return a block's credits of enrolled people: the track within the block (ascending), the column, the row."""
        mine = self.mine[slice(*np.searchsorted(self.mine_of, [rows.start, rows.stop]))]
        return self.people.credits.track[mine] - rows.start, self.column[self.people.credits.person[mine]], mine

    def _blended(self, rows: slice, ratios: np.ndarray, which: np.ndarray | None, none: float) -> np.ndarray:
        """Return the probabilities (b, c + 1) from the tracks' own voices and those of their groups."""
        m, q = len(self.enrolled), self.q[rows]
        found = posterior(ratios, none, m)
        shared = np.flatnonzero(q > 0)  # most tracks of a large catalogue are in no group
        those = None if which is None else which[shared]
        whole = self._compared(self.rest[self.group[rows][shared]], those)
        weight = np.where(np.isfinite(whole).any(1), q[shared], 0.0)[:, None]
        found[shared] = weight * posterior(_known(whole, those), none, m) + (1 - weight) * found[shared]
        return found

    def _factors(self, rows: slice, which: np.ndarray | None, none: float) -> np.ndarray:
        """Return the factors (b, c + 1) by which tracks' own credits change the odds of each vocalist against none."""
        right, named = self.judged.right, self.named[rows]
        at, column, mine = self._own(rows)
        credit = ~self.people.credits.given[mine]
        at, column = at[credit], column[credit]
        inside = np.bincount(at, minlength=len(named)) / np.maximum(named, 1)  # share of the credited who are enrolled
        nobody = np.where(named > 0, right * (1 - inside) + (1 - right) * none, none)
        width = (len(self.enrolled) if which is None else which.shape[1]) + 1
        factors = np.repeat((np.where(named > 0, 1 - right, 1.0) * none / nobody)[:, None], width, axis=1)
        factors[at, place(which, at, column)] = right / named[at] * len(self.enrolled) / (1 - none) * none / nobody[at]
        return factors


def _known(ratios: np.ndarray, which: np.ndarray | None) -> np.ndarray:
    """Return the ratios (b, c + 1) with 0, which says nothing, where a voice is unknown; -inf stays for no voice."""
    there = np.zeros(ratios.shape, bool)
    there[:, :-1] = which is None or which >= 0
    return np.where(there & ~np.isfinite(ratios), 0.0, ratios).astype(float)
