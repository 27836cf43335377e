import numpy as np
import pytest
import soundfile

from pipeline.sound import audio
from pipeline.sound.audio import Audio
from pipeline.store.errors import Problem


@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (48000, 2)])
def test_reading_resamples_and_mixes_down(song, rate, channels):
    found = audio.read(song, rate, channels)
    assert found.sample_rate_hz == rate
    assert found.samples.shape == (channels, 3 * rate)
    spectrum = np.abs(np.fft.rfft(found.samples[0]))
    assert np.argmax(spectrum) / 3 == pytest.approx(440, abs=0.5)
    assert np.sqrt(np.mean(found.samples**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)


def test_surround_is_mixed_down_without_clipping(tmp_path, tone):
    soundfile.write(tmp_path / "surround.wav", tone(1.0, 44100, 6), 44100)
    found = audio.read(tmp_path / "surround.wav", 44100, 1).samples
    assert 0.3 < np.abs(found).max() <= 0.51


def test_blocks_together_are_the_whole_file(song):
    pieces = list(audio.blocks(song, 16000, 1, block_s=0.7))
    assert [piece.shape[1] for piece in pieces[:-1]] == [11200] * 4
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), audio.read(song, 16000, 1).samples)


@pytest.mark.parametrize(
    ("name", "content", "kind", "words"),
    [
        ("empty.mp3", b"", "empty", "0 bytes"),
        ("letter.mp3", b"Dear all, this is a text. " * 400, "decode", "not audio"),
        ("noise.flac", bytes(range(256)) * 64, "decode", "not audio"),
    ],
)
def test_a_file_that_is_not_audio_is_a_problem_with_a_clear_message(tmp_path, name, content, kind, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Problem, match=words) as caught:
        audio.read(tmp_path / name, 16000, 1)
    assert caught.value.kind == kind


def test_a_file_without_samples_is_too_short_and_one_sample_is_audio(tmp_path):
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 8000)
    soundfile.write(tmp_path / "one.wav", np.ones(1) * 0.5, 8000)
    with pytest.raises(Problem) as caught:
        audio.read(tmp_path / "none.wav", 8000, 1)
    assert caught.value.kind == "too_short"
    assert audio.read(tmp_path / "one.wav", 8000, 1).samples.shape == (1, 1)


def test_a_few_damaged_samples_are_set_to_zero_and_many_are_a_problem(tmp_path, tone):
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
        audio.read(tmp_path / "nowhere.mp3", 16000, 1)


def test_if_the_sample_rate_changes_each_part_is_resampled_to_its_end(tmp_path, encoded):
    path = tmp_path / "a.ac3"
    path.write_bytes(encoded("ac3", "ac3", rate=48000) + encoded("ac3", "ac3", rate=32000))
    found = audio.read(path, 16000, 1)
    assert found.duration_s == pytest.approx(2.0, abs=0.1)
    for second in (found.samples[0, 4000:12000], found.samples[0, 20000:28000]):
        assert np.argmax(np.abs(np.fft.rfft(second))) * 2 in (330, 660)


def test_the_files_own_channels_can_be_kept(tmp_path, tone):
    wave = np.stack([tone(1.0, 8000)[:, 0] * share for share in (1, -1, 0, 0.5)], axis=1)
    soundfile.write(tmp_path / "four.wav", wave, 8000, subtype="FLOAT")
    np.testing.assert_array_equal(audio.read(tmp_path / "four.wav", 8000, None).samples, wave.T)


def test_flac_bytes_contain_the_clip_to_sixteen_bits(tone):
    clip = Audio(tone(0.5, 44100).T, 44100)
    back = audio.from_flac(audio.flac_bytes(clip))
    assert back.sample_rate_hz == 44100
    np.testing.assert_allclose(back.samples, clip.samples, atol=1 / 32768)
    assert clip.duration_s == 0.5


def test_the_flac_writer_appends_blocks(tmp_path, tone):
    wave = tone(1.0, 16000, 2).T
    with audio.FlacWriter(tmp_path / "out.flac", 16000, 2) as writer:
        writer.write(wave[:, :5000])
        writer.write(wave[:, 5000:])
    np.testing.assert_allclose(audio.read(tmp_path / "out.flac", 16000, 2).samples, wave, atol=1 / 32768)


def test_seconds_become_samples_by_rounding():
    assert audio.to_samples(0.1, 44100) == 4410
    assert audio.to_samples(1 / 3, 16000) == 5333
