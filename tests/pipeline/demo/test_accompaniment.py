import numpy as np
import pytest

from pipeline.demo.accompaniment import LEVEL_RMS, accompany, bass_note, fm_key, hat, kick, pad, pluck
from pipeline.demo.plan import ARRANGEMENTS
from pipeline.demo.song import BEATS, compose
from pipeline.sound.audio import to_samples

RATE = 22050
SONG = compose(50.0, 64.0, 12.0, np.random.default_rng(5))


def chroma(wave):
    """Return the level (12,) of each pitch class from C3 to B5, within a fifth of a semitone."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 2**17))
    midi = 69 + 12 * np.log2(np.maximum(np.fft.rfftfreq(2**17, 1 / RATE), 1.0) / 440)
    notes = [spectrum[np.abs(midi - note) < 0.2].max() for note in range(48, 84)]
    return np.reshape(notes, (3, 12)).mean(axis=0)


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_it_plays_the_whole_song_in_stereo_at_the_given_level(arrangement):
    wave = accompany(SONG, arrangement, RATE, np.random.default_rng(0))
    assert wave.dtype == np.float32
    assert wave.shape == (2, to_samples(SONG.duration_s, RATE))
    assert np.isfinite(wave).all()
    assert np.sqrt((wave**2).mean()) == pytest.approx(LEVEL_RMS, rel=1e-3)
    assert np.abs(wave[0] - wave[1]).std() > 0.1 * wave.std()
    assert np.array_equal(wave, accompany(SONG, arrangement, RATE, np.random.default_rng(0)))


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_it_plays_the_chords_of_the_song(arrangement):
    wave = accompany(SONG, arrangement, RATE, np.random.default_rng(0)).mean(axis=0)
    bar = to_samples(BEATS * SONG.beat_s, RATE)
    for number, chord in enumerate(SONG.chords):
        level = chroma(wave[number * bar : (number + 1) * bar])
        inside = np.array([pitch_class in {pitch % 12 for pitch in chord} for pitch_class in range(12)])
        assert level[inside].mean() > 1.4 * level[~inside].mean(), (number, chord, level.round(2))


def test_drums_keep_the_tempo_after_the_intro():
    wave = accompany(SONG, "pads", RATE, np.random.default_rng(0)).mean(axis=0)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(wave, 256), 512)[::128]
    high = np.abs(np.fft.rfft(frames * np.hanning(512)))[:, 200:].sum(axis=1)
    beat = SONG.beat_s * RATE / 128
    intro, rest = high[: int(4 * beat) - 4], high[int(4 * beat) :]
    assert intro.max() < 0.2 * rest.max()
    onsets = [rest[int(k * beat / 2) : int(k * beat / 2) + 6].max() for k in range(16)]
    between = [rest[int((k + 0.6) * beat / 2) : int((k + 0.8) * beat / 2)].mean() for k in range(16)]
    assert min(onsets) > 3 * np.median(between)


def test_an_unknown_arrangement_is_refused():
    with pytest.raises(ValueError, match="no arrangement 'opera'"):
        accompany(SONG, "opera", RATE, np.random.default_rng(0))


@pytest.mark.parametrize("make", [pad, pluck, fm_key])
@pytest.mark.parametrize("midi", [45.0, 57.0, 68.0])
def test_instruments_are_in_tune(make, midi):
    sound = make(midi, 1.0, RATE, np.random.default_rng(0))[2000:18000]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 2**18))
    hz, wanted_hz = np.fft.rfftfreq(2**18, 1 / RATE), 440 * 2 ** ((midi - 69) / 12)
    near = (hz > 0.9 * wanted_hz) & (hz < 1.1 * wanted_hz)
    assert abs(1200 * np.log2(hz[near][spectrum[near].argmax()] / wanted_hz)) < 10


@pytest.mark.parametrize("rate", [16000, 48000])
def test_sounds_are_bounded_and_end_in_silence_at_any_rate(rate):
    generator = np.random.default_rng(0)
    for sound in (pad(60, 1, rate, generator), pluck(60, 1, rate, generator), fm_key(60, 1, rate, generator),
                  bass_note(36, 0.5, rate), kick(rate), hat(rate, generator)):  # fmt: skip
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() < 4
        assert abs(sound[-1]) < 1e-6
