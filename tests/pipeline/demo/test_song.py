import numpy as np
import pytest

from pipeline.demo.phrasing import check
from pipeline.demo.song import BEATS, compose


@pytest.mark.parametrize("seed", range(12))
def test_a_song_can_be_sung_by_the_singer_it_was_composed_for(seed):
    song = compose(50.0, 64.0, 25.0, np.random.default_rng(seed))
    check(song.melody)
    assert all(50 <= note.midi <= 64 for note in song.melody)
    assert {int(note.midi - song.tonic) % 12 for note in song.melody} <= set(song.scale)
    assert {pitch % 12 for chord in song.chords for pitch in chord} <= {(song.tonic + s) % 12 for s in song.scale}
    assert song.duration_s == pytest.approx(25.0, abs=1.01 * BEATS * song.beat_s)
    assert song.melody[0].start_s == pytest.approx(BEATS * song.beat_s)
    assert song.melody[-1].start_s + song.melody[-1].duration_s <= song.duration_s + 1e-6


def test_notes_are_on_the_beat_and_long_notes_in_the_chord():
    song = compose(48.0, 62.0, 30.0, np.random.default_rng(3))
    for note in song.melody:
        eighths = 2 * note.start_s / song.beat_s
        assert eighths == pytest.approx(round(eighths), abs=1e-6)
        if note.duration_s >= song.beat_s:
            chord = song.chords[int(note.start_s / song.beat_s / BEATS + 1e-6)]
            assert int(note.midi) % 12 in {pitch % 12 for pitch in chord}


def test_songs_differ_in_key_tempo_and_melody_and_depend_on_their_seed():
    songs = [compose(50.0, 64.0, 20.0, np.random.default_rng(seed)) for seed in range(8)]
    assert songs[0] == compose(50.0, 64.0, 20.0, np.random.default_rng(0))
    assert len({song.tonic for song in songs}) >= 4
    assert len({round(song.tempo_bpm) for song in songs}) >= 6
    assert len({tuple(note.midi for note in song.melody[:6]) for song in songs}) == 8


def test_a_range_without_any_note_of_the_scale_still_gives_a_melody():
    song = compose(60.2, 60.8, 10.0, np.random.default_rng(0))
    assert len(song.melody) > 4
