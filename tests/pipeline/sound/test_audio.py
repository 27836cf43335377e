import shutil

import numpy as np
import pytest
import soundfile

from pipeline.sound import audio
from pipeline.sound.audio import Audio
from pipeline.store.errors import Problem


def tone(seconds: float, rate: int, channels: int = 1, hz: float = 440.0) -> np.ndarray:
    wave = 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)
    return np.tile(wave[:, None], (1, channels)).astype(np.float32)


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.flac"
    soundfile.write(path, tone(3.0, 44100, 2), 44100)
    return path


def test_identity_hangs_on_the_audio_and_not_on_name_or_tags(song, tmp_path):
    import mutagen

    before = audio.probe(song)
    moved = tmp_path / "elsewhere" / "Ünïcode name.flac"
    moved.parent.mkdir()
    shutil.copy(song, moved)
    tagged = mutagen.File(moved)
    tagged["artist"] = "Someone"
    tagged.save()
    after = audio.probe(moved)
    assert after.track_id == before.track_id
    assert after.tags["artist"] == "Someone"
    soundfile.write(song, tone(3.0, 44100, 2, hz=441.0), 44100)
    assert audio.probe(song).track_id != before.track_id


def test_probe_tells_what_the_file_is(song):
    found = audio.probe(song)
    assert (found.sample_rate_hz, found.channels, found.codec) == (44100, 2, "flac")
    assert found.duration_s == pytest.approx(3.0, abs=1e-3)
    assert found.note is None
    assert len(found.track_id) == 32


def test_a_header_that_promises_more_is_noted(tmp_path):
    path = tmp_path / "song.flac"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 44100 * 4), 44100)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "4.0 s" in audio.probe(path).note
    assert audio.read(path, 44100, 1).duration_s == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (48000, 2)])
def test_reading_resamples_and_mixes_down(song, rate, channels):
    found = audio.read(song, rate, channels)
    assert found.sample_rate_hz == rate
    assert found.samples.shape == (channels, 3 * rate)
    spectrum = np.abs(np.fft.rfft(found.samples[0]))
    assert np.argmax(spectrum) / 3 == pytest.approx(440, abs=0.5)
    assert np.sqrt(np.mean(found.samples**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)


def test_surround_is_mixed_down_without_clipping(tmp_path):
    soundfile.write(tmp_path / "surround.wav", tone(1.0, 44100, 6), 44100)
    found = audio.read(tmp_path / "surround.wav", 44100, 1).samples
    assert 0.3 < np.abs(found).max() <= 0.51


def test_blocks_are_the_whole_file_cut(song):
    pieces = list(audio.blocks(song, 16000, 1, block_s=0.7))
    assert [piece.shape[1] for piece in pieces[:-1]] == [11200] * 4
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), audio.read(song, 16000, 1).samples)


@pytest.mark.parametrize(("name", "content", "kind", "words"), [
    ("empty.mp3", b"", "empty", "0 bytes"),
    ("letter.mp3", b"Dear all, this is a text. " * 400, "decode", "not audio"),
    ("noise.flac", bytes(range(256)) * 64, "decode", "not audio"),
])
def test_what_is_no_audio_is_a_problem_in_words(tmp_path, name, content, kind, words):
    (tmp_path / name).write_bytes(content)
    for use in (audio.probe, lambda path: audio.read(path, 16000, 1)):
        with pytest.raises(Problem, match=words) as caught:
            use(tmp_path / name)
        assert caught.value.kind == kind


def test_no_sample_is_too_short_and_one_sample_is_audio(tmp_path):
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 8000)
    soundfile.write(tmp_path / "one.wav", np.ones(1) * 0.5, 8000)
    with pytest.raises(Problem) as caught:
        audio.read(tmp_path / "none.wav", 8000, 1)
    assert caught.value.kind == "too_short"
    assert audio.read(tmp_path / "one.wav", 8000, 1).samples.shape == (1, 1)


def test_single_damaged_samples_are_mended_and_many_are_a_problem(tmp_path):
    wave = tone(1.0, 8000)
    wave[100], wave[200] = np.nan, np.inf
    soundfile.write(tmp_path / "few.wav", wave, 8000, subtype="FLOAT")
    found = audio.read(tmp_path / "few.wav", 8000, 1).samples
    assert found[0, 100] == found[0, 200] == 0
    assert np.isfinite(found).all()
    wave[:4000] = np.nan
    soundfile.write(tmp_path / "many.wav", wave, 8000, subtype="FLOAT")
    with pytest.raises(Problem, match="4000 of 8000 samples"):
        audio.read(tmp_path / "many.wav", 8000, 1)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        audio.probe(tmp_path / "nowhere.mp3")


def test_flac_bytes_hold_the_clip_to_sixteen_bits():
    clip = Audio(tone(0.5, 44100).T, 44100)
    back = audio.from_flac(audio.flac_bytes(clip))
    assert back.sample_rate_hz == 44100
    np.testing.assert_allclose(back.samples, clip.samples, atol=1 / 32768)
    assert clip.duration_s == 0.5


def test_the_flac_writer_appends_blocks(tmp_path):
    wave = tone(1.0, 16000, 2).T
    with audio.FlacWriter(tmp_path / "out.flac", 16000, 2) as writer:
        writer.write(wave[:, :5000])
        writer.write(wave[:, 5000:])
    np.testing.assert_allclose(audio.read(tmp_path / "out.flac", 16000, 2).samples, wave, atol=1 / 32768)


def test_seconds_become_samples_by_rounding():
    assert audio.to_samples(0.1, 44100) == 4410
    assert audio.to_samples(1 / 3, 16000) == 5333
