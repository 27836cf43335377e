from pathlib import Path

import numpy as np
import pytest
import soundfile

from encoder.training.data import ClipShards
from encoder.training.recipes.clips import write_clips
from jobs.bench import recordings
from pipeline import separators

RATE = 16000


def voice(hz: float) -> np.ndarray:
    time_s = np.arange(3 * RATE) / RATE
    return 0.2 * np.sin(2 * np.pi * hz * time_s + 3 * np.sin(2 * np.pi * 5 * time_s))


@pytest.fixture
def audio(tmp_path) -> Path:
    """Write two karaoke singers, a preview, sets of voices alone, and songs that cannot be used."""
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


def test_singers_and_the_channels_of_their_voices_are_found(audio):
    found = recordings.find_voices(audio)
    assert [v.name for v in found] == [
        "karaoke/amy/01",
        "karaoke/leon/01",
        "previews/Band/Band - Song",
        "speech/84/84",
        "voicebanks/yuki/c4",
    ]
    assert [bool(v.accompaniment) for v in found] == [True, True, True, False, False]
    song = found[0].read()
    np.testing.assert_allclose(song.voice[0], voice(300), atol=1e-4)
    assert song.accompaniment.std() == pytest.approx(0.1, rel=0.05)
    assert song.sample_rate_hz == RATE
    assert "leon" not in [v.singer for v in recordings.find_voices(audio, ["leon"])]


def test_the_recipe_reads_the_files(audio, tmp_path):
    out = tmp_path / "out"
    assert recordings.main([str(audio), str(out), "--remixes", "1"]) == 0
    made = sorted(str(path.relative_to(out)) for path in out.rglob("*.flac"))
    assert made == [
        "karaoke/amy/01.flac",
        "karaoke/amy/01~1.flac",
        "karaoke/leon/01.flac",
        "karaoke/leon/01~1.flac",
        "previews/Band/Band - Song.flac",
        "previews/Band/Band - Song~1.flac",
        "speech/84/84~1.flac",
        "voicebanks/yuki/c4~1.flac",
    ]
    names = write_clips(out, tmp_path / "clips")
    assert names["karaoke/amy/01"] == "karaoke/amy"
    clips = ClipShards.open(tmp_path / "clips")
    assert [row.clip_id for row in clips.rows if row.track_id == "karaoke/amy/01"] == [
        "karaoke/amy/01-0",
        "karaoke/amy/01~1-0",
    ]
    separated, clean = (clips.crop(0, 0.0, 3.0, column)[0] for column in ("audio", "pair_audio"))
    np.testing.assert_allclose(clean, voice(300), atol=1e-4)
    assert np.corrcoef(clean, separated)[0, 1] > 0.5


def test_a_short_accompaniment_is_looped_at_its_own_sample_rate(tmp_path):
    rng = np.random.default_rng(0)
    for name, seconds, rate in (("long", 9, 16000), ("short", 1, 48000)):
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * rng.standard_normal((seconds * rate, 2)), rate)
    sung, band = (recordings.Voice(tmp_path / f"{name}.wav", "karaoke", name, (1,), (0,)) for name in ("long", "short"))
    clean, separated = recordings.remix(sung, [sung, band], separators.load("spleeter"), rng)
    assert clean.shape == separated.shape == (9 * RATE,)


def test_a_file_does_not_depend_on_when_it_is_made(audio, tmp_path):
    voices, separator = recordings.find_voices(audio), separators.load("spleeter")
    first = list(recordings.make(voices[3:4] + voices[:2], tmp_path / "a", separator, 1, 0))
    assert not list(recordings.make(voices[3:4] + voices[:2], tmp_path / "a", separator, 1, 0))
    kept = first[0].read_bytes()
    first[0].unlink()
    assert list(recordings.make(voices[:2] + voices[3:4], tmp_path / "a", separator, 1, 0)) == first[:1]
    assert first[0].read_bytes() == kept


def test_a_remix_needs_someone_elses_accompaniment(audio, tmp_path):
    voices = recordings.find_voices(audio)
    with pytest.raises(ValueError, match="at least two files"):
        list(recordings.make(voices[3:], tmp_path, separators.load("spleeter"), 1, 0))
