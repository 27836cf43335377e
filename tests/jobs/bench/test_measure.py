import numpy as np
import pytest
import soundfile

from jobs.bench import measure
from pipeline.demo.mix import perform
from pipeline.demo.singer import draw_singers
from pipeline.separators import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Render a karaoke song, a preview and a whole song."""
    folder = tmp_path_factory.mktemp("audio")
    generator = np.random.default_rng(1)
    song = perform(draw_singers(["ann"], generator), 6.0, "strings", 22050, generator)
    for name, samples in (
        ("karaoke/ann/01.ogg", np.stack([song.accompaniment[0], song.vocals[0]])),
        ("previews/Ann - One.ogg", np.concatenate([song.vocals, song.accompaniment])),
        ("songs/Ann - Two.flac", song.mix),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, samples.T, 22050)
    return folder


@pytest.fixture(scope="module")
def separator():
    return load("spleeter", precision="fp32")


def test_separation_improves_on_the_mix(folder, separator):
    for name in ("karaoke", "previews"):
        ((mix_db, vocals_db, sdr_db),) = measure.quality(separator, [s for _, s in measure.recordings(folder, name)])
        assert vocals_db > mix_db + 3
        assert sdr_db > vocals_db - 1  # BSS Eval also forgives a filter


def test_singing_and_its_absence_are_detected(folder, separator):
    previews = [song for _, song in measure.recordings(folder, "previews")]
    mixes, accompaniments = measure.activity(separator, previews)
    assert (list(mixes), list(accompaniments)) == ([True], [False])
    assert measure.whole_songs(separator, folder) == [True]


def test_an_artists_songs_are_in_one_half():
    names = [f"Artist {i} - Song {k}.ogg" for i in range(40) for k in range(2)]
    halves = [measure.chose_the_rule(name) for name in names]
    assert halves[::2] == halves[1::2]
    assert 10 < sum(halves) / 2 < 30
