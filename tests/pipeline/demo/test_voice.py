import numpy as np
import pytest
import soxr
import torch
from scipy.linalg import solve_toeplitz
from torchaudio.transforms import MFCC

from pipeline.demo.singer import Singer, draw_singer
from pipeline.demo.song import Note, compose
from pipeline.demo.voice import LEVEL_RMS, active_rms, resonance, sing

RATE = 22050
STILL = Singer(name="still", vibrato_cents=0.0, scoop_semitones=0.0, jitter=0.0, shimmer=0.0, breath_db=-80.0,
               nasal_db=0.0, ring_db=0.0)  # fmt: skip


def held(midi=45.0, syllable="a", duration_s=1.2):
    return [Note(start_s=0.1, duration_s=duration_s, midi=midi, syllable=syllable)]


def middle(wave, rate=RATE):
    return wave[int(0.4 * rate) : int(1.2 * rate)]


def f0_hz(wave, rate=RATE):
    """Return the pitch, from the autocorrelation's first strong peak, refined by a parabola."""
    size = 2 ** int(np.ceil(np.log2(2 * len(wave))))
    correlation = np.fft.irfft(np.abs(np.fft.rfft(wave, size)) ** 2)[: len(wave) // 2]
    correlation /= len(wave) - np.arange(len(correlation))
    least = rate // 1000
    lags = np.arange(least, rate // 60)
    peaks = [k for k in lags if correlation[k] == correlation[k - 1 : k + 2].max()]
    top = next(k for k in peaks if correlation[k] > 0.9 * correlation[peaks].max())
    left, mid, right = correlation[top - 1 : top + 2]
    return rate / (top + 0.5 * (left - right) / (left - 2 * mid + right))


@pytest.mark.parametrize("midi", [45.0, 52.0, 60.0, 69.0, 76.0])
def test_a_long_note_has_the_melodys_pitch_within_a_few_cents(midi):
    wave = sing(STILL, held(midi), RATE, np.random.default_rng(0))
    cents = 1200 * np.log2(f0_hz(middle(wave)) / (440 * 2 ** ((midi - 69) / 12)))
    assert abs(cents) < 8


def test_pitch_is_right_on_the_long_notes_of_a_drawn_singers_song():
    singer = draw_singer("x", 0.3, np.random.default_rng(4))
    song = compose(singer.low_midi, singer.high_midi, 15.0, np.random.default_rng(1))
    wave = sing(singer, song.melody, RATE, np.random.default_rng(2))
    cents = []
    for note in song.melody:
        if note.duration_s > 0.7:
            start, end = int((note.start_s + 0.2) * RATE), int((note.start_s + note.duration_s - 0.1) * RATE)
            cents.append(1200 * np.log2(f0_hz(wave[start:end]) / (440 * 2 ** ((note.midi - 69) / 12))))
    assert len(cents) >= 5
    assert abs(np.median(cents)) < 12
    assert np.abs(cents).max() < 45


@pytest.mark.parametrize("vowel", "aeiou")
def test_formants_are_at_the_singers_frequencies(vowel):
    wave = middle(sing(STILL, held(38.0, vowel), 44100, np.random.default_rng(0)), 44100)
    wave = soxr.resample(wave, 44100, 8000)
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 2**15))
    correlation = np.fft.irfft(spectrum**2)[:13]
    roots = np.roots([1.0, *-solve_toeplitz(correlation[:12], correlation[1:])])  # linear prediction
    roots = roots[roots.imag > 0]
    peaks_hz = np.angle(roots) / (2 * np.pi) * 8000
    narrow = -np.log(np.abs(roots)) * 8000 / np.pi < 400
    for wanted_hz in STILL.vowels_hz[vowel][:2]:
        nearest = peaks_hz[narrow][np.abs(peaks_hz[narrow] - wanted_hz).argmin()]
        assert nearest == pytest.approx(wanted_hz, abs=60), np.sort(peaks_hz[narrow])


def test_a_shorter_tract_shifts_the_spectrum_up():
    low, high = (draw_singer("x", v, np.random.default_rng(0)) for v in (0.0, 1.0))
    centroids = []
    for singer in (low, high):
        wave = middle(
            sing(singer.model_copy(update={"breath_db": -80.0}), held(57.0, "a"), RATE, np.random.default_rng(0))
        )
        spectrum = np.abs(np.fft.rfft(wave))
        hz = np.fft.rfftfreq(len(wave), 1 / RATE)
        band = (hz > 200) & (hz < 1800)
        centroids.append((hz * spectrum)[band].sum() / spectrum[band].sum())
    assert centroids[1] > 1.1 * centroids[0]


def test_vibrato_has_the_singers_rate_and_depth():
    singer = STILL.model_copy(update={"vibrato_cents": 60.0, "vibrato_hz": 6.0, "vibrato_delay_s": 0.1})
    wave = sing(singer, held(57.0, "a", 3.0), RATE, np.random.default_rng(0))[int(0.6 * RATE) : int(2.8 * RATE)]
    pitches = np.array([f0_hz(wave[start : start + 1100]) for start in range(0, len(wave) - 1100, 220)])
    cents = 1200 * np.log2(pitches / np.median(pitches))
    cents = cents - cents.mean()
    spectrum = np.abs(np.fft.rfft(cents * np.hanning(len(cents)), 4096))
    rate_hz = np.fft.rfftfreq(4096, 220 / RATE)[spectrum.argmax()]
    assert rate_hz == pytest.approx(6.0, abs=0.7)
    assert np.sqrt(2) * cents.std() == pytest.approx(60.0, abs=20.0)


def test_breath_fills_the_gaps_between_harmonics():
    def noise_db(breath_db):
        wave = middle(
            sing(STILL.model_copy(update={"breath_db": breath_db}), held(57.0), RATE, np.random.default_rng(0))
        )
        power = np.abs(np.fft.rfft(wave * np.blackman(len(wave)))) ** 2
        hz = np.fft.rfftfreq(len(wave), 1 / RATE)
        off = np.abs((hz / 220) % 1 - 0.5) < 0.2
        return 10 * np.log10(power[off & (hz > 300)].sum() / power.sum())

    assert noise_db(-15.0) > noise_db(-30.0) + 8 > noise_db(-80.0) + 12


def test_a_plosive_is_silent_and_a_sibilant_is_high():
    def syllables(second):
        melody = [Note(start_s=s, duration_s=0.5, midi=50.0, syllable=v) for s, v in ((0.1, "a"), (0.6, second))]
        return sing(STILL, melody, RATE, np.random.default_rng(0))

    stop, hiss = syllables("ta"), syllables("sa")

    def part(wave, start_s, end_s):
        return wave[int(start_s * RATE) : int(end_s * RATE)]

    assert part(stop, 0.535, 0.55).std() < 0.1 * part(stop, 0.3, 0.4).std()
    spectrum = np.abs(np.fft.rfft(part(hiss, 0.52, 0.57))) ** 2
    hz = np.fft.rfftfreq(len(part(hiss, 0.52, 0.57)), 1 / RATE)
    assert spectrum[hz > 4000].sum() > 0.8 * spectrum.sum()


@pytest.mark.parametrize("rate", [16000, 22050, 32000, 44100, 48000])
def test_a_song_is_finite_at_its_level_and_as_long_as_its_melody_at_any_rate(rate):
    singer = draw_singer("x", 0.9, np.random.default_rng(0))
    song = compose(singer.low_midi, singer.high_midi, 8.0, np.random.default_rng(0))
    wave = sing(singer, song.melody, rate, np.random.default_rng(0))
    assert wave.dtype == np.float32
    assert wave.ndim == 1
    assert np.isfinite(wave).all()
    assert active_rms(wave, rate) == pytest.approx(LEVEL_RMS, rel=1e-3)
    end_s = song.melody[-1].start_s + song.melody[-1].duration_s
    assert end_s < len(wave) / rate < end_s + 0.5
    assert np.abs(wave[: int(0.5 * song.melody[0].start_s * rate)]).max() < 1e-3


def test_the_same_seed_sings_the_same_and_another_seed_does_not():
    waves = [sing(Singer(name="x"), held(), RATE, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(waves[0], waves[1])
    assert not np.array_equal(waves[0], waves[2])


def test_timbre_tells_singers_of_one_range_apart_over_different_melodies():
    generator = np.random.default_rng(8)
    singers = [draw_singer(f"s{i}", voice, generator) for i, voice in enumerate((0.1, 0.3, 0.5, 0.7, 0.9))]
    voices, mfcc = [], MFCC(RATE, n_mfcc=20, melkwargs={"n_fft": 1024, "n_mels": 40})
    for singer in singers:
        for _ in range(3):
            wave = sing(singer, compose(50.0, 63.0, 12.0, generator).melody, RATE, generator)
            coefficients = mfcc(torch.from_numpy(wave)).numpy()
            loud = coefficients[0] > np.quantile(coefficients[0], 0.4)
            voices.append(coefficients[1:, loud].mean(axis=1))
    timbre = (np.array(voices) - np.mean(voices, axis=0)) / np.std(voices, axis=0)
    distance = np.linalg.norm(timbre[:, None] - timbre[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (distance.argmin(axis=1) // 3 == np.arange(15) // 3).sum() >= 12  # by chance: 2 of 15


def test_level_of_silence_is_zero_and_of_a_tone_its_rms():
    times = np.arange(RATE) / RATE
    assert active_rms(np.zeros(RATE), RATE) == 0.0
    tone = np.where(times < 0.5, np.sin(2 * np.pi * 200 * times), 0.0)
    assert active_rms(tone, RATE) == pytest.approx(np.sqrt(0.5), rel=1e-3)
    assert active_rms(np.stack([tone, np.zeros(RATE)]), RATE) == pytest.approx(0.5, rel=1e-3)


def test_a_resonance_peaks_at_its_formant_with_its_bandwidth():
    hz = np.arange(0.0, 4000.0)
    response = np.abs(resonance(hz, 1000.0, 80.0))
    assert response[0] == pytest.approx(1.0)
    assert hz[response.argmax()] == pytest.approx(1000.0, abs=3)
    above = hz[response > response.max() / np.sqrt(2)]
    assert above[-1] - above[0] == pytest.approx(80.0, abs=3)
