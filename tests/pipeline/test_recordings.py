from pathlib import Path

import numpy as np
import pytest
import soundfile

from encoder.recipes.singers import read_singers
from pipeline import recordings, separators

RATE = 16000


def voice(hz: float) -> np.ndarray:
    time_s = np.arange(3 * RATE) / RATE
    return 0.2 * np.sin(2 * np.pi * hz * time_s + 3 * np.sin(2 * np.pi * 5 * time_s))


@pytest.fixture
def audio(tmp_path) -> Path:
    """Two karaoke singers, a preview, a set of plain voices, and a song of which only the accompaniment is used."""
    band = 0.1 * np.random.default_rng(0).standard_normal((2, 3 * RATE))
    files = {
        "karaoke/amy/01.wav": [band[0], voice(300)],
        "karaoke/leon/01.wav": [band[1], voice(150)],
        "previews/Band - Song.wav": [voice(250), voice(250), band[0], band[1]],
        "speech/84.wav": [voice(200)],
        "voicebanks/yuki/c4.wav": [voice(260)],
        "songs/Some - One.wav": [band[0]],
    }
    for name, channels in files.items():
        path = tmp_path / "audio" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.stack(channels, axis=1), RATE)
    return tmp_path / "audio"


def test_who_sings_and_where_the_voice_is(audio):
    found = recordings.find_voices(audio)
    assert [v.name for v in found] == [
        "karaoke/amy/01", "karaoke/leon/01", "previews/Band/Band - Song", "speech/84/84", "voicebanks/yuki/c4"]
    assert [v.band is not None for v in found] == [True, True, True, False, False]
    sung, band, rate = found[0].read()
    np.testing.assert_allclose(sung[0], voice(300), atol=1e-4)
    assert band.std() == pytest.approx(0.1, rel=0.05)
    assert rate == RATE
    assert "leon" not in [v.singer for v in recordings.find_voices(audio, ["leon"])]


def test_files_are_what_the_recipe_reads(audio, tmp_path):
    out = tmp_path / "out"
    assert recordings.main([str(audio), str(out), "--remixes", "1", "--pseudo", "1"]) == 0
    made = sorted(str(path.relative_to(out)) for path in out.rglob("*.flac"))
    assert made == [
        "karaoke/amy+1/01~1.flac", "karaoke/amy/01.flac", "karaoke/amy/01~1.flac", "karaoke/leon+1/01~1.flac",
        "karaoke/leon/01.flac", "karaoke/leon/01~1.flac", "previews/Band+1/Band - Song~1.flac",
        "previews/Band/Band - Song.flac", "previews/Band/Band - Song~1.flac", "speech/84+1/84~1.flac",
        "speech/84/84~1.flac", "voicebanks/yuki+1/c4~1.flac", "voicebanks/yuki/c4~1.flac"]
    amy = next(singer for singer in read_singers(out) if singer.name == "amy")
    assert (amy.group, amy.name) == ("karaoke", "amy")
    assert {song: len(mixes) for song, mixes in amy.songs.items()} == {"01": 2}
    clean, separated = amy.songs["01"][0]
    np.testing.assert_allclose(clean, voice(300), atol=1e-4)
    assert np.corrcoef(clean, separated)[0, 1] > 0.5


def noises(tmp_path: Path, *lengths: tuple[str, int, int]) -> list[recordings.Voice]:
    """Recordings of noise as a band beside a voice: name, seconds, rate."""
    rng = np.random.default_rng(0)
    for name, seconds, rate in lengths:
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * rng.standard_normal((seconds * rate, 2)), rate)
    return [recordings.Voice(tmp_path / f"{name}.wav", "karaoke", name, (1,), (0,)) for name, *_ in lengths]


def test_a_short_accompaniment_is_looped_at_its_own_rate(tmp_path):
    sung, band = noises(tmp_path, ("long", 9, 16000), ("short", 1, 48000))
    separator = separators.load("spleeter")
    bands = recordings.Bands([sung, band], [], separator)
    clean, separated = recordings.remix(sung, bands, separator, np.random.default_rng(0))
    assert clean.shape == separated.shape == (9 * RATE,)


def test_an_accompaniment_is_someone_elses_and_never_twice_the_same(audio):
    voices = recordings.find_voices(audio)
    bands = recordings.Bands(voices, [], separators.load("spleeter"))
    rng = np.random.default_rng(0)
    taken = [bands.take(voices[0], RATE, rng) for _ in range(12)]
    own = voices[0].read()[1].astype(np.float32)
    for i, band in enumerate(taken):
        assert band.shape == (1, RATE)
        assert np.abs(np.correlate(own[0], band[0][:2000], "valid")).max() < 0.5 * np.linalg.norm(band[0][:2000]) ** 2
        assert not any(np.array_equal(band, other) for other in taken[:i])


def test_of_a_song_only_the_accompaniment_is_taken(audio):
    band, rate = recordings.band_of_song(separators.load("spleeter"), audio / "songs" / "Some - One.wav")
    assert band.shape == (1, 3 * RATE) and rate == RATE
    assert band.std() == pytest.approx(0.1, rel=0.3)  # noise, nothing of it a voice


def test_a_pseudo_singer_is_one_voice_in_all_songs_and_another_than_the_singer(audio):
    amy, leon, *_ = recordings.find_voices(audio)
    again = recordings.Voice(amy.path.with_name("02.wav"), amy.group, amy.singer)
    pseudo = recordings.Pseudo.of(amy, 1, seed=0)
    assert pseudo == recordings.Pseudo.of(again, 1, seed=0)
    assert len({pseudo, recordings.Pseudo.of(amy, 2, 0), recordings.Pseudo.of(leon, 1, 0), recordings.Pseudo()}) == 4
    assert recordings.Pseudo.of(amy, 0, seed=0) == recordings.Pseudo()
    separator = separators.load("spleeter")
    bands = recordings.Bands([amy, leon], [], separator)
    faster = recordings.Pseudo(speed=1.2, formants=1.1)
    clean, separated = recordings.remix(amy, bands, separator, np.random.default_rng(0), faster)
    assert len(clean) == len(separated) == pytest.approx(3 * RATE / 1.2, abs=2)


def test_a_file_is_the_same_whenever_it_is_made(audio, tmp_path):
    voices, separator = recordings.find_voices(audio), separators.load("spleeter")

    def make(order: list[recordings.Voice]) -> list[Path]:
        return list(recordings.make(order, [], tmp_path / "a", separator, 1, 1, 0))

    first = make(voices[3:4] + voices[:2])
    assert not make(voices[3:4] + voices[:2])
    kept = first[0].read_bytes()
    first[0].unlink()
    # Which accompaniments there are to choose from is their order, too.
    assert make(voices[:2] + voices[3:4]) == first[:1]
    assert first[0].read_bytes() == kept


def test_a_remix_needs_someone_elses_accompaniment(audio, tmp_path):
    voices = recordings.find_voices(audio)
    with pytest.raises(ValueError, match="at least two files"):
        list(recordings.make(voices[3:], [], tmp_path, separators.load("spleeter"), 1, 0, 0))
