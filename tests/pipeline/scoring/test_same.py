"""Recordings that are in a catalogue several times: simulated, and rendered, encoded, remastered and embedded."""

import numpy as np
import pandas as pd
import pytest
import torch

import encoder
from pipeline.demo import encode
from pipeline.demo.mix import perform
from pipeline.demo.plan import plan
from pipeline.scoring import kept, same, voices
from pipeline.scoring.backend import Backend
from pipeline.scoring.voices import Clips, Voices
from pipeline.sections import RenderConfig, ShardConfig
from pipeline.sound.audio import Audio
from pipeline.sound.clips import cut_clips
from pipeline.store import tables

DIM = 32
BACKEND = Backend(np.zeros(DIM), np.eye(DIM))


def song(seed: int, singer: int = 0, n: int = 8) -> Clips:
    """Return the clips of a song: the singer's voice, changed by what is sung."""
    rng = np.random.default_rng(seed)
    seconds = rng.uniform(4, 10, n)
    vectors = np.random.default_rng(1000 + singer).normal(size=DIM) + 0.6 * rng.normal(size=(n, DIM))
    return Clips(unit(vectors), np.cumsum(seconds + rng.uniform(0, 4, n)) - seconds, seconds, np.zeros(n, int))


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def copy(clips: Clips, seed: int, shift_s: float = 0.0, keep: slice = slice(None), noise: float = 0.2) -> Clips:
    """Return a song as in another file: vectors and places a little different, shifted, or only a part."""
    rng = np.random.default_rng(seed)
    vectors = unit(clips.vectors + noise / np.sqrt(DIM) * rng.normal(size=clips.vectors.shape) * 1.5)
    start = clips.start_s + shift_s + rng.uniform(-0.1, 0.1, len(vectors))
    return Clips(vectors[keep], start[keep], clips.seconds[keep], clips.track[keep])


def together(*songs: Clips) -> Clips:
    """Return the clips of several tracks as one table, in any order."""
    track = np.repeat(np.arange(len(songs)), [len(each.track) for each in songs])
    order = np.random.default_rng(0).permutation(len(track))
    columns = (
        np.concatenate([getattr(each, name) for each in songs])[order] for name in ("vectors", "start_s", "seconds")
    )
    return Clips(*columns, track[order])


def written(workspace, *songs: Clips) -> tuple[Voices, Backend]:
    """Write songs as the tables of a workspace; return its voices."""
    for i, clips in enumerate(songs):
        rows = pd.DataFrame({"track_id": f"{i:02d}", "start_s": clips.start_s, "end_s": clips.start_s + clips.seconds})
        tables.write(workspace, "embeddings", rows.assign(encoder_id="e", embedding=list(clips.vectors)), str(i))
        mean = clips.vectors.mean(0)
        length = float(np.linalg.norm(mean))
        row = {"track_id": f"{i:02d}", "encoder_id": "e", "n_clips": len(clips.track), "spread": 1 - length}
        tables.write(workspace, "voices", [row | {"embedding": (mean / length).tolist()}], str(i))
    return voices.read(workspace)


@pytest.mark.parametrize(
    "other",
    [copy(song(1), 9), copy(song(1), 9, shift_s=-3.4), copy(song(1), 9, keep=slice(2, 7)), copy(song(1), 9, noise=0.4)],
    ids=["encoded", "shifted", "cut", "mastered"],
)
def test_other_files_of_a_performance_are_the_same_in_either_order(other):
    assert same.same(together(song(1), other), np.array([[0, 1], [1, 0]])).all()


def test_another_song_by_the_same_singer_is_not_the_same_however_similar():
    songs = [song(seed) for seed in range(12)]
    pairs = np.stack(np.triu_indices(12, 1), axis=1)
    assert not same.same(together(*songs), pairs).any()


def test_the_same_song_sung_again_is_not_the_same():
    again = copy(song(1), 9, noise=0.2)
    slower = Clips(again.vectors, again.start_s * 1.2, again.seconds * 1.2, again.track)
    other = Clips(song(2).vectors, song(1).start_s, song(1).seconds, song(1).track)  # another singer to the same music
    assert not same.same(together(song(1), slower, other), np.array([[0, 1], [0, 2]])).any()


def test_a_track_without_clips_is_the_same_as_none():
    assert same.matched(song(1), np.arange(8), np.arange(0)) == (0, 0.0, 0.0)


def test_the_longest_file_of_a_recording_counts_for_all_its_files(workspace):
    files = [
        copy(song(1), 9, keep=slice(0, 6)),
        song(1),
        copy(song(1), 8, 2.0, slice(1, 8)),
        song(2),
        song(3, singer=1),
        song(4, 2),
    ]
    found, backend = written(workspace, *files)
    near = kept.nearest(workspace, found, backend)
    counts = same.find(workspace, found, near)
    assert counts.tolist() == [1, 1, 1, 3, 4, 5]
    assert same.same_recording(found.track_ids, counts).tolist() == ["01", None, "01", None, None, None]


@pytest.mark.parametrize("n", [0, 1])
def test_up_to_two_tracks(workspace, n):
    found, backend = written(workspace, *[song(i) for i in range(n)])
    assert same.find(workspace, found, kept.nearest(workspace, found, backend)).tolist() == list(range(n))


def test_neighbours_are_mapped_to_the_tracks_that_count():
    once = same.Once(np.array([1, 3, 4]), np.array([0, 0, 0, 1, 2]))  # 0, 1 and 2 are files of one recording
    near = np.array([[1, 2, 3], [0, 2, 4], [1, 3, 4], [0, 2, 4], [3, 2, -1]])
    assert [sorted(set(row.tolist()) - {-1}) for row in once.near(near)] == [[2], [0, 2], [0, 1]]


def test_files_of_one_recording_count_once_per_credit():
    counts = np.array([0, 0, 0, 0, 4])
    found = same.once(counts, np.array([9, 8, 7, 6, 5.0]), ["ann", "ann", "bob", "", "ann"], [None] * 5)
    assert found.rows.tolist() == [0, 2, 3, 4]
    assert found.of.tolist() == [0, 0, 1, 2, 3]


def test_one_known_file_makes_the_others_known_and_two_names_stay_apart():
    counts, seconds = np.zeros(3, int), np.array([9, 8, 7.0])
    found = same.once(counts, seconds, [""] * 3, [None, "Ann", None])
    assert (found.rows.tolist(), found.of.tolist()) == ([1], [0, 0, 0])
    assert same.once(counts, seconds, [""] * 3, ["Bob", "Ann", None]).rows.tolist() == [0, 1, 2]


def test_files_get_the_row_of_the_file_that_counts_for_them():
    found = same.Once(np.array([0, 2]), np.array([0, 1, 1])).expanded(
        pd.DataFrame({"track_id": ["a", "c"], "x": [1, 2]}), np.array(["a", "b", "c"])
    )
    assert found.to_dict("list") == {"track_id": ["a", "b", "c"], "x": [1, 2, 2]}


def mastered(wave: np.ndarray) -> np.ndarray:
    """Return a wave (2, samples), brightened and compressed."""
    brighter = wave + 0.2 * np.diff(wave, prepend=0.0)
    return np.tanh(brighter / np.abs(brighter).max()).astype(np.float32) * np.float32(0.9)


@pytest.fixture(scope="module")
def heard(tmp_path_factory) -> Clips:
    """Return the embedded clips of a rendered song in four files, and of two other songs by its singer."""
    folder, model = tmp_path_factory.mktemp("songs"), encoder.load("default")
    singers, rate = plan(RenderConfig(singers=2, songs=1, odd_files=False)).items[0].singers, 44100
    waves = [perform(singers, 24, "keys", rate, np.random.default_rng(i)).vocals for i in range(3)]
    files = {
        "song.flac": waves[0],
        "song.mp3": waves[0],
        "late.ogg": waves[0][:, int(1.3 * rate) :],
        "new.flac": mastered(waves[0]),
        "second.flac": waves[1],
        "third.flac": waves[2],
    }
    songs = []
    for name, wave in files.items():
        encode.write(folder / name, Audio(wave, rate))
        cuts = list(cut_clips(str(folder / name), None, ShardConfig(mix_share=0)))
        vectors = np.concatenate([model(torch.from_numpy(cut.vocals), rate).detach().numpy() for cut in cuts])
        places = np.array([(cut.start_s, cut.end_s - cut.start_s) for cut in cuts]).T
        songs.append(Clips(vectors, *places, np.zeros(len(cuts), int)))
    return together(*songs)


def test_files_of_a_rendered_song_are_the_same_and_other_songs_are_not(heard):
    pairs = np.stack(np.triu_indices(6, 1), axis=1)
    assert same.same(heard, pairs).tolist() == (pairs < 4).all(axis=1).tolist()
