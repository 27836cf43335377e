"""Trials, the pairs to compare: drawn, written and read.

An *item* is a part of a recording, named `<path relative to the set>#t=<start_s>,<end_s>` (a W3C media fragment), or
just by the path if it is the whole file. A *trial* is two items and a label: whether the same singer sings both. Two
crops of one recording are never a target trial; if requested, they are kept separately as `same_recording`.

A trials file may have two layouts: ours, a CSV with the header `label,left,right,same_recording`, or the list
`label,path1,path2` without a header that papers on singer identity publish.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.scoring.metrics import NotMeasurable
from pipeline.store.errors import ConfigError

HEADER = ("label", "left", "right", "same_recording")
_FRAGMENT = re.compile(r"^(?P<path>.*?)(?:#t=(?P<start>[\d.]+),(?P<end>[\d.]+))?$")

Index = NDArray[np.intp]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Trials:
    """Pairs of items by index: `left`, `right` (t,), `label` and `same_recording` (t,) bool."""

    left: Index
    right: Index
    label: Flags
    same_recording: Flags

    def __len__(self) -> int:
        return len(self.left)

    def where(self, chosen: ArrayLike) -> "Trials":
        """Return the trials that a mask or an index chooses."""
        chosen = np.asarray(chosen)
        return Trials(self.left[chosen], self.right[chosen], self.label[chosen], self.same_recording[chosen])


def item_name(path: str, start_s: float | None = None, end_s: float | None = None) -> str:
    """Return the name of a part of a file, or of the whole file."""
    return path if start_s is None else f"{path}#t={start_s:.3f},{end_s:.3f}"


def parse_item(name: str) -> tuple[str, float | None, float | None]:
    """Return the path, start and end in seconds (None for the whole file) of an item's name."""
    found = _FRAGMENT.match(name)
    if found is None or found["start"] is None:
        return name, None, None
    return found["path"], float(found["start"]), float(found["end"])


def make(
    singers: Sequence[str],
    recordings: Sequence[str],
    max_trials: int = 100_000,
    seed: int = 0,
    same_recording: bool = False,
) -> Trials:
    """Return all pairs of n items, or `max_trials` of them drawn without replacement, half of them targets if possible.

    Raises:
        NotMeasurable: there is only one singer, or none has two recordings.
    """
    singer, recording = (np.unique(np.asarray(names), return_inverse=True)[1] for names in (singers, recordings))
    if len(np.unique(singer)) < 2:
        raise NotMeasurable("all items are by one singer, so there is no pair of two to tell apart")
    rng = np.random.default_rng([seed, 4])
    targets = _pairs_within(singer)
    together = recording[targets[0]] == recording[targets[1]]
    same, targets = targets[:, together], targets[:, ~together]
    if not targets.shape[1]:
        raise NotMeasurable("no singer has two recordings, so there is no pair by one singer")
    half = max_trials // 2
    others = _pairs_between(singer, max(half, max_trials - targets.shape[1]), rng)
    targets = _sample(targets, max(half, max_trials - others.shape[1]), rng)
    same = _sample(same, half, rng) if same_recording else same[:, :0]
    counts = [targets.shape[1], others.shape[1], same.shape[1]]
    left, right = np.concatenate([targets, others, same], axis=1)
    return Trials(left, right, np.repeat([True, False, True], counts), np.repeat([False, False, True], counts))


def _pairs_within(group: Index) -> Index:
    """Return every pair of items of the same group: (2, pairs), ordered."""
    found = [np.zeros((2, 0), np.intp)]
    for members in _members(group):
        a, b = np.triu_indices(len(members), 1)
        found.append(np.stack([members[a], members[b]]))
    return np.concatenate(found, axis=1)


def _members(group: Index) -> list[Index]:
    order = np.argsort(group, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(group[order])) + 1)


def _pairs_between(group: Index, limit: int, rng: np.random.Generator) -> Index:
    """Return pairs (2, pairs) of items of different groups: all of them up to `limit`, else that many drawn ones."""
    n = len(group)
    total = n * (n - 1) // 2 - sum(len(m) * (len(m) - 1) // 2 for m in _members(group))
    if total <= 4 * limit or n < 1500:
        pairs = np.stack(np.triu_indices(n, 1))
        return _sample(pairs[:, group[pairs[0]] != group[pairs[1]]], limit, rng)
    codes = np.zeros(0, np.intp)
    while len(codes) < limit:
        a, b = np.sort(rng.integers(0, n, (2, 2 * limit)), axis=0)
        codes = np.unique(np.concatenate([codes, (a * n + b)[group[a] != group[b]]]))
    return np.stack(np.divmod(np.sort(rng.choice(codes, limit, replace=False)), n))


def _sample(pairs: Index, limit: int, rng: np.random.Generator) -> Index:
    if pairs.shape[1] <= limit:
        return pairs
    return pairs[:, np.sort(rng.choice(pairs.shape[1], limit, replace=False))]


def to_csv(trials: Trials, names: Sequence[str]) -> str:
    """Return trials over items of these `names` in our CSV layout."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(HEADER)
    columns = (trials.left, trials.right, trials.label, trials.same_recording)
    for left, right, label, same in zip(*columns, strict=True):
        rows.writerow([int(label), names[left], names[right], int(same)])
    return text.getvalue()


def read(path: str | Path) -> tuple[Trials, list[str]]:
    """Return trials of a file of either layout, and the names of their items in order of first mention.

    Raises:
        ConfigError: the file does not exist, or a line is not a trial; the message gives the line's number.
    """
    index: dict[str, int] = {}
    rows: list[tuple[int, int, bool, bool]] = []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            for number, row in enumerate(csv.reader(file), start=1):
                if not row or (number == 1 and row[0] == HEADER[0]):
                    continue
                if len(row) not in (3, 4) or row[0].strip() not in ("0", "1"):
                    raise ConfigError(
                        f"{path}, line {number}: {','.join(row)!r} is not a trial: write label,left,right"
                    )
                left, right = (index.setdefault(name.strip(), len(index)) for name in row[1:3])
                rows.append((left, right, row[0].strip() == "1", len(row) == 4 and row[3].strip() == "1"))
    except OSError as error:
        raise ConfigError(f"cannot read the trials {path}: {error.strerror}") from error
    if not rows:
        raise ConfigError(f"{path} holds no trial")
    table = np.array(rows, dtype=np.intp)
    return Trials(table[:, 0], table[:, 1], table[:, 2].astype(bool), table[:, 3].astype(bool)), list(index)
