import numpy as np
import pandas as pd
import soundfile

from jobs.bench import singers
from jobs.bench.singers import Catalogue
from pipeline.scoring.labelled import Clips, pool
from pipeline.scoring.voices import Voices


def catalogue() -> Catalogue:
    """Four singers with two songs of eight clips, and four with one song."""
    singer = np.array([f"singer {i}" for i in (0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7)], object)
    track = np.repeat(np.arange(12), 8)
    clips = Clips(np.random.default_rng(0).normal(size=(96, 4)), np.full(96, 6.0), track, singer)
    means, seconds, _ = pool(clips)
    return Catalogue(Voices(np.array([f"t{i}" for i in range(12)], object), means, seconds), clips, singer)


def test_halves_have_different_singers_and_the_same_kinds_of_singers():
    found = catalogue()
    first, second = singers.halves(found.singer)
    assert (first != second).all()
    for half in (first, second):
        part = found.part(half)
        assert part.singles == 2
        assert len(set(part.singer)) == 4
    assert not set(found.singer[first]) & set(found.singer[second])


def test_excerpts_cut_the_songs_of_singers_with_several():
    found = catalogue()
    cut = singers.excerpts(found)
    counts = np.bincount(cut.clips.track)
    assert ((counts[:8] >= 2) & (counts[:8] <= 5)).all()
    assert (counts[8:] == 8).all()
    np.testing.assert_array_equal(cut.voices.means[8:], found.voices.means[8:])


def test_every_third_piece_of_a_song_is_a_file(tmp_path):
    soundfile.write(tmp_path / "song.flac", np.zeros((7 * 8000, 2)), 8000)
    songs = pd.DataFrame([{"uri": str(tmp_path / "song.flac"), "singer": "ann"}])
    found = singers.cut_up(songs, tmp_path / "pieces", 1)
    assert found["singer"].tolist() == ["ann"] * 3
    assert [soundfile.info(uri).frames for uri in found["uri"]] == [8000, 8000, 8000]


def test_previews_of_an_artist_share_a_singer():
    files = ["karaoke/ann/1.flac", "previews/Leaf - One.flac", "previews/Leaf - Two - Live.flac"]
    files += ["previews/Music Delta - Rock.flac"]
    found = singers.by_artist(pd.DataFrame({"file": files, "singer": ["ann", "", "", ""]}))
    assert found["singer"].tolist() == ["ann", "Leaf", "Leaf", ""]
