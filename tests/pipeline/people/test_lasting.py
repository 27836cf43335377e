"""Names that last from one clustering to the next."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from pipeline.people.lasting import NO_GROUP, Named, name_groups, number
from pipeline.people.names import is_voice
from pipeline.store import tables
from pipeline.store.schemas import SCHEMAS

DAY = timedelta(days=1)


class Catalogue:
    """A catalogue that is clustered again and again, a day apart."""

    def __init__(self) -> None:
        self.tracks = SCHEMAS["voice_tracks"].empty_table().to_pandas()
        self.at = datetime(2026, 1, 1, tzinfo=UTC)
        self.changes = pd.DataFrame()

    def named(self, track_ids: Iterable[str], group: Iterable[int]) -> Named:
        """Name groups, and store the names as the cluster stage does, through the tables' schemas."""
        self.at += DAY
        found = name_groups(np.array(list(track_ids), object), np.array(list(group), int), self.tracks, self.at)
        self.tracks = tables.to_arrow("voice_tracks", found.tracks).to_pandas()
        self.changes = tables.to_arrow("voice_changes", found.changes).to_pandas()
        assert number_of_open_rows(self.tracks) == {
            (track, voice) for track, voice in zip(track_ids, found.voice, strict=True) if voice
        }
        return found

    def cluster(self, *groups: str, alone: str = "") -> list[str | None]:
        """Cluster tracks, each named by a letter; return the groups' names."""
        tracks = list("".join(groups) + alone)
        labels = [i for i, group in enumerate(groups) for _ in group] + [NO_GROUP] * len(alone)
        voice = dict(zip(tracks, self.named(tracks, labels).voice, strict=True))
        assert all(voice[track] is None for track in alone)
        assert all(len({voice[track] for track in group}) == 1 for group in groups)
        return [voice[group[0]] for group in groups]

    def told(self) -> list[tuple]:
        """Return the last changes, without their time."""
        assert (self.changes["changed_at"] == self.at).all()
        rows = self.changes[["change", "voice", "other", "n_tracks"]].itertuples(index=False)
        return [
            (change, number(voice), None if pd.isna(other) else number(other), n) for change, voice, other, n in rows
        ]


def number_of_open_rows(tracks: pd.DataFrame) -> set[tuple[str, str]]:
    """Return which track is in which voice now; no track is in two."""
    still = tracks[tracks["until"].isna()]
    assert not still["track_id"].duplicated().any()
    return set(zip(still["track_id"], still["voice"], strict=True))


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue()


def test_the_first_names_are_given_by_size_and_then_by_first_track(catalogue):
    assert catalogue.cluster("cd", "ab", "xyz", alone="q") == ["voice-0003", "voice-0002", "voice-0001"]
    assert catalogue.told() == [("new", 1, None, 3), ("new", 2, None, 2), ("new", 3, None, 2)]
    assert all(map(is_voice, catalogue.tracks["voice"]))


def test_a_second_clustering_changes_nothing(catalogue):
    first = catalogue.cluster("abc", "xy", alone="q")
    tracks = catalogue.tracks
    assert catalogue.cluster("abc", "xy", alone="q") == first
    assert catalogue.told() == []
    pd.testing.assert_frame_equal(catalogue.tracks, tracks)


def test_a_catalogue_that_grows_keeps_its_names_however_large_the_new_voices_are(catalogue):
    first = catalogue.cluster("abc", "xy")
    assert catalogue.cluster("pqrstuvw", "abcdefghijk", "xyz") == ["voice-0003", *first]
    assert catalogue.told() == [("new", 3, None, 8)]


def test_the_larger_part_keeps_the_name_when_a_voice_splits(catalogue):
    catalogue.cluster("abcde", "xy")
    assert catalogue.cluster("ab", "cde", "xy") == ["voice-0003", "voice-0001", "voice-0002"]
    assert catalogue.told() == [("split", 1, 3, 2), ("new", 3, None, 2)]


def test_the_larger_voice_stays_when_two_merge_and_of_equals_the_older(catalogue):
    catalogue.cluster("abc", "vwxyz", "pq", "rs")
    assert catalogue.cluster("abcvwxyz", "pqrs") == ["voice-0001", "voice-0003"]
    assert catalogue.told() == [("merged", 2, 1, 3), ("merged", 4, 3, 2)]


def test_a_merged_name_is_not_reused_and_returns_with_its_tracks(catalogue):
    catalogue.cluster("abc", "xy")
    catalogue.cluster("abcxy")
    assert catalogue.cluster("abcxy", "pq") == ["voice-0001", "voice-0003"]
    assert catalogue.cluster("abc", "xy", "pq") == ["voice-0001", "voice-0004", "voice-0003"]


def test_a_voice_whose_files_come_back_gets_its_name_back(catalogue):
    catalogue.cluster("abc", "xy")
    assert catalogue.cluster("abc") == ["voice-0001"]
    assert catalogue.told() == [("gone", 2, None, 2)]
    assert catalogue.cluster("abc", "pq") == ["voice-0001", "voice-0003"]
    assert catalogue.cluster("abc", "pq", "xyz") == ["voice-0001", "voice-0003", "voice-0002"]
    assert catalogue.told() == [("back", 2, None, 3)]


def test_going_back_to_earlier_settings_brings_the_names_back(catalogue):
    first = catalogue.cluster("abcdefgh", "pqrs", "xy")
    catalogue.cluster("ab", "cde", "pq", alone="fghrsxy")
    catalogue.cluster("abcdefghpqrsxy")
    catalogue.cluster(alone="abcdefghpqrsxy")
    assert catalogue.cluster("abcdefgh", "pqrs", "xy")[0] == first[0]


def test_as_many_tracks_as_possible_keep_their_name(catalogue):
    catalogue.cluster("abcdefghij", "vwxyz")
    assert catalogue.cluster("abcdefvwxyz", "ghij") == ["voice-0002", "voice-0001"]
    assert catalogue.told() == [("split", 1, 2, 6)]


def test_one_stray_track_does_not_take_the_name_along(catalogue):
    catalogue.cluster("abcd", "xyz")
    assert catalogue.cluster("apq", "xyz", alone="bcd") == ["voice-0003", "voice-0002"]
    assert catalogue.told() == [("gone", 1, None, 4), ("split", 1, 3, 1), ("new", 3, None, 3)]


def test_replacing_one_file_does_not_end_a_voice_of_two(catalogue):
    catalogue.cluster("ab", "xyz")
    assert catalogue.cluster("ac", "xyz") == ["voice-0002", "voice-0001"]
    assert catalogue.told() == []
    assert catalogue.tracks.set_index("track_id")["until"].notna().to_dict()["b"]


def test_the_table_says_when_each_track_was_in_which_voice(catalogue):
    catalogue.cluster("abc", "xyz")
    catalogue.cluster("ab", "xyzc")
    rows = catalogue.tracks[catalogue.tracks["track_id"] == "c"]
    assert rows["voice"].tolist() == ["voice-0001", "voice-0002"]
    assert rows["until"].iloc[0] == rows["since"].iloc[1] == catalogue.at
    assert pd.isna(rows["until"].iloc[1])


@pytest.mark.parametrize("seed", range(6))
def test_any_sequence_of_clusterings_gives_each_name_to_one_voice(seed):
    """Cluster random parts of a catalogue at random: no name is shared or reused, and the order does not matter."""
    rng = np.random.default_rng(seed)
    ids, catalogue, seen = np.array([f"{i:03d}" for i in range(60)], object), Catalogue(), set[str]()
    group = rng.integers(0, 12, 60)
    for _ in range(8):
        moved = rng.random(60) < rng.choice([0.02, 0.1, 0.5])
        group = np.where(moved, rng.integers(NO_GROUP, 14, 60), group)
        here = rng.random(60) < 0.9
        labels = np.where(np.bincount(group + 1, here, minlength=16)[group + 1] > 1, group, NO_GROUP)
        before, order = catalogue.tracks, rng.permutation(np.flatnonzero(here))
        found = catalogue.named(ids[here], labels[here])
        shuffled = name_groups(
            ids[order],
            (labels[order] * 7 + 3) % 101 * (labels[order] >= 0) - (labels[order] < 0),
            before.sample(frac=1, random_state=seed),
            catalogue.at,
        )
        assert dict(zip(ids[order], shuffled.voice, strict=True)) == dict(zip(ids[here], found.voice, strict=True))
        pairs = set(zip(labels[here][labels[here] >= 0], found.voice[labels[here] >= 0], strict=True))
        assert len(pairs) == len({voice for _, voice in pairs}) == len({label for label, _ in pairs})
        new = set(catalogue.changes.loc[catalogue.changes["change"] == "new", "voice"])
        assert not new & seen
        seen |= new
        assert {voice for _, voice in pairs} <= seen
        ended = catalogue.changes[catalogue.changes["change"].isin(["gone", "merged"])]
        assert set(ended["voice"]) == set(before.loc[before["until"].isna(), "voice"]) - set(filter(None, found.voice))
        assert not ended["voice"].duplicated().any()


def test_unchanged_voices_keep_their_names_whatever_happens_to_others():
    rng = np.random.default_rng(3)
    catalogue, ids = Catalogue(), np.array([f"{i:04d}" for i in range(400)], object)
    group = np.arange(400) // 4
    first = catalogue.named(ids, group).voice
    torn = rng.random(100) < 0.5
    again = np.where(torn[group], rng.integers(200, 250, 400), group)
    second = catalogue.named(ids, again).voice
    assert (second[~torn[group]] == first[~torn[group]]).all()


def test_catalogues_without_tracks_or_groups(catalogue):
    assert catalogue.cluster() == []
    assert catalogue.cluster(alone="abc") == []
    assert len(catalogue.tracks) == len(catalogue.changes) == 0
