import numpy as np
import pandas as pd
import pytest
import soundfile

from jobs.bench import excerpts

RATE = 8000


@pytest.fixture
def recordings(tmp_path):
    """Write five songs by one singer and two by another, of constant accompaniment and voice, and a whole song."""
    for singer, n in (("amy", 5), ("bob", 2)):
        (tmp_path / "in" / "karaoke" / singer).mkdir(parents=True)
        for song in range(n):
            wave = np.broadcast_to([0.1, 0.4], (RATE, 2))
            soundfile.write(tmp_path / "in" / "karaoke" / singer / f"{song}.wav", wave, RATE)
    (tmp_path / "in" / "songs").mkdir()
    soundfile.write(tmp_path / "in" / "songs" / "Cy - Tune.ogg", np.zeros((RATE, 2)), RATE)
    return tmp_path / "in"


def test_a_track_is_two_songs_and_some_tracks_are_accompaniment_alone(recordings, tmp_path):
    out = tmp_path / "out"
    expected = excerpts.catalogue(recordings, out, 3)
    assert expected[["set", "file", "singer", "expected"]].to_numpy().tolist() == [
        ["karaoke", "karaoke/amy-0.flac", "amy", "vocalist"],
        ["bands", "bands/amy-0.flac", "", "instrumental"],
        ["karaoke", "karaoke/bob-0.flac", "bob", "vocalist"],
        ["karaoke", "karaoke/amy-1.flac", "amy", "vocalist"],
        ["songs", "songs/Cy - Tune.ogg", "Cy", "vocalist"],
    ]
    for name, level in (("karaoke/amy-0.flac", 0.25), ("bands/amy-0.flac", 0.05)):
        wave, rate = soundfile.read(out / name)
        assert (len(wave), rate) == (2 * RATE, RATE)
        np.testing.assert_allclose(wave, level, atol=1e-3)
    assert pd.read_csv(out / "known.csv").to_numpy().tolist() == [
        ["karaoke/amy-0.flac", "amy"],
        ["karaoke/bob-0.flac", "bob"],
        ["songs/Cy - Tune.ogg", "Cy"],
    ]
