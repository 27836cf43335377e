import av
import numpy as np
import pytest
import soundfile

from pipeline.demo.encode import SUFFIXES, copy_untagged, write
from pipeline.sound.audio import Audio, read
from pipeline.sound.probe import probe

TAGS = {"artist": "Дарья Белова", "title": "Été sans fin", "album": "さくら"}


def tones(rate, channels, seconds=2.0):
    times = np.arange(int(rate * seconds)) / rate
    pitches = np.array([[440.0], [660.0]])[:channels]
    return Audio((0.4 * np.sin(2 * np.pi * pitches * times)).astype(np.float32), rate)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_written_audio_is_read_back(tmp_path, suffix, channels):
    audio = tones(48000, channels)
    path = tmp_path / f"Zoë – τραγούδι{suffix}"
    write(path, audio)
    found = probe(path)
    assert (found.sample_rate_hz, found.channels) == (48000, channels)
    assert found.duration_s == pytest.approx(2.0, abs=0.1)
    back = read(path, 48000, channels).samples
    for wave, wanted in zip(back, audio.samples, strict=True):
        spectra = [np.abs(np.fft.rfft(w[20000:60000])) for w in (wave, wanted)]
        assert spectra[0].argmax() == spectra[1].argmax()
        # LAME scales its input by 0.95.
        assert wave[20000:60000].std() == pytest.approx(wanted.std(), rel=0.06)


@pytest.mark.parametrize(("suffix", "rate"), [(".mp3", 22050), (".mp3", 32000), (".m4a", 44100), (".ogg", 22050),
                                              (".wav", 16000), (".flac", 44100)])  # fmt: skip
def test_sample_rates_are_kept(tmp_path, suffix, rate):
    write(tmp_path / f"a{suffix}", tones(rate, 1))
    assert probe(tmp_path / f"a{suffix}").sample_rate_hz == rate


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize("bits", [16, 24])
def test_lossless_formats_have_the_given_bit_depth(tmp_path, suffix, bits):
    audio = tones(44100, 2)
    write(tmp_path / f"a{suffix}", audio, bits)
    assert soundfile.info(tmp_path / f"a{suffix}").subtype == f"PCM_{bits}"
    samples, _ = soundfile.read(tmp_path / f"a{suffix}", dtype="float32")
    np.testing.assert_allclose(samples.T, audio.samples, atol=1.01 * 2 ** (1 - bits))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_tags_are_in_the_file_and_a_copy_has_the_same_audio_without_them(tmp_path, suffix):
    write(tmp_path / f"a{suffix}", tones(48000, 2), tags=TAGS)
    found = probe(tmp_path / f"a{suffix}")
    assert {key: found.tags[key] for key in TAGS} == TAGS
    copy_untagged(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}")
    copy = probe(tmp_path / f"b{suffix}")
    assert copy.track_id == found.track_id
    assert not set(copy.tags) & set(TAGS)


def test_an_mp3_states_its_length_so_that_truncation_shows(tmp_path):
    write(tmp_path / "a.mp3", tones(44100, 2, 10.0))
    data = (tmp_path / "a.mp3").read_bytes()
    (tmp_path / "cut.mp3").write_bytes(data[: len(data) // 2])
    with av.open(str(tmp_path / "cut.mp3")) as container:
        promised_s = container.duration / av.time_base
    assert promised_s == pytest.approx(10.0, abs=0.2)
    assert read(tmp_path / "cut.mp3", 44100, 2).duration_s == pytest.approx(5.0, abs=0.3)


def test_the_same_audio_gives_the_same_bytes(tmp_path):
    for suffix in sorted(set(SUFFIXES) - {".ogg"}):  # libsndfile numbers an Ogg stream by the clock
        write(tmp_path / f"a{suffix}", tones(48000, 2))
        write(tmp_path / f"b{suffix}", tones(48000, 2))
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes(), suffix


def test_clipping_audio_and_unknown_formats_are_refused(tmp_path):
    loud = Audio(np.full((1, 100), 1.5, np.float32), 44100)
    with pytest.raises(ValueError, match=r"reach 1\.50"):
        write(tmp_path / "a.wav", loud)
    with pytest.raises(ValueError, match="beyond full scale"):
        write(tmp_path / "a.wav", Audio(np.full((1, 100), np.nan, np.float32), 44100))
    with pytest.raises(ValueError, match=r"no encoder for '\.aiff'"):
        write(tmp_path / "a.aiff", tones(44100, 1))
    with pytest.raises(ValueError, match="no tag 'mood'"):
        write(tmp_path / "a.mp3", tones(44100, 1), tags={"mood": "blue"})
    assert list(tmp_path.iterdir()) == []
