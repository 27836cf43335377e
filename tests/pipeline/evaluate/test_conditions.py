"""What each condition does to a sound, measured; all of them use the same stretch."""

import numpy as np
import pytest
import soundfile

from pipeline.evaluate import conditions
from pipeline.evaluate.conditions import Versions, parse
from pipeline.sections import EvaluateConfig, ShardConfig
from pipeline.store.errors import ConfigError, Problem

RATE_HZ = 44100
CONFIG = EvaluateConfig()


def tone(frequency_hz: float, seconds: float = 2.0, level: float = 0.3) -> np.ndarray:
    return (level * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def peak_hz(wave: np.ndarray) -> float:
    """Return the strongest frequency, by parabolic interpolation of a windowed spectrum."""
    spectrum = np.log(np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) + 1e-9)
    k = int(spectrum.argmax())
    left, middle, right = spectrum[k - 1 : k + 2]
    return (k + (left - right) / (2 * (left - 2 * middle + right))) * RATE_HZ / len(wave)


def level_db(wave: np.ndarray) -> float:
    return 10 * np.log10(np.mean(np.square(wave, dtype=float)) + 1e-12)


class Halving:
    """A separator whose effect is easy to see: it returns half of the mix."""

    sample_rate_hz, channels = RATE_HZ, 2

    def separate(self, wave):
        assert wave.shape[0] == 2
        return 0.5 * wave


def test_names_are_parsed_and_checked():
    found = parse("separated/mp3_64k/crop_0.5s")
    assert (found.base, found.changes, found.crop_s) == ("separated", (("mp3", 64.0), ("crop", 0.5)), 0.5)
    assert parse("clean").crop_s is None
    for name in ("vocals", "clean/loud", "clean/pitch_2", "mix/"):
        with pytest.raises(ConfigError, match="condition"):
            parse(name)
    spelled = conditions.expand(("clean", "robustness", "separated/crop_8s"))
    assert len(spelled) == len(set(spelled)) == 1 + len(conditions.ROBUSTNESS)


@pytest.mark.parametrize(
    ("n", "voice", "accompaniment"),
    [(2, (1,), (0,)), (4, (0, 1), (2, 3))],
    ids=["two channels", "four channels"],
)
def test_voice_mix_and_separated_come_from_their_channels(tmp_path, n, voice, accompaniment):
    channels = np.zeros((n, 2 * RATE_HZ), np.float32)
    channels[list(voice)], channels[list(accompaniment)] = tone(440), tone(3000)
    soundfile.write(tmp_path / "a.ogg", channels.T, RATE_HZ)
    versions = Versions(str(tmp_path / "a.ogg"), voice, accompaniment, RATE_HZ, Halving())
    clean, mix, separated = (versions.wave(parse(name)) for name in conditions.BASES)
    assert peak_hz(clean) == pytest.approx(440, abs=1)
    assert clean == pytest.approx(tone(440), abs=0.02)
    assert mix == pytest.approx(tone(440) + tone(3000), abs=0.04)
    assert separated == pytest.approx(0.5 * mix, abs=1e-6)


def test_a_share_of_the_mix_is_added_as_in_clips(tmp_path):
    assert f"separated/mix_{100 * ShardConfig().mix_share:g}" == conditions.AS_CLIPS
    soundfile.write(tmp_path / "a.wav", np.stack([tone(3000), tone(440)], axis=1), RATE_HZ)
    versions = Versions(str(tmp_path / "a.wav"), (1,), (0,), RATE_HZ, Halving())
    separated, mix = (versions.wave(parse(name)) for name in ("separated", "mix"))
    assert versions.wave(parse("separated/mix_30")) == pytest.approx(0.7 * separated + 0.3 * mix, abs=1e-6)


def test_a_plain_file_can_be_separated_but_has_no_accompaniment(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(440), RATE_HZ)
    versions = Versions(str(tmp_path / "a.wav"), (), (), RATE_HZ, Halving())
    assert versions.wave(parse("separated")) == pytest.approx(0.5 * tone(440), abs=1e-4)
    with pytest.raises(Problem, match="no accompaniment"):
        versions.wave(parse("mix"))


def test_a_file_without_the_expected_channels_is_reported(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(440), RATE_HZ)
    with pytest.raises(Problem, match="has 1 channels where 2 are expected"):
        Versions(str(tmp_path / "a.wav"), (1,), (0,), RATE_HZ)


def test_a_band_limit_removes_what_is_above_it():
    wave = tone(2000) + tone(6000) + tone(12000)
    for top_hz, kept in ((4000, (2000,)), (8000, (2000, 6000))):
        low = conditions.band_limited(wave, RATE_HZ, top_hz)
        assert len(low) == len(wave)
        middle = slice(RATE_HZ // 2, RATE_HZ)
        assert low[middle] == pytest.approx(sum(tone(f)[middle] for f in kept), abs=0.01)
    assert conditions.band_limited(wave, 16000, 8000) is wave


def test_mp3_changes_a_sound_a_little():
    wave = tone(440) + 0.05 * np.random.default_rng(0).normal(size=2 * RATE_HZ).astype(np.float32)
    coded = conditions.through_mp3(wave, RATE_HZ, 64)
    assert len(coded) == len(wave)
    low = [conditions.band_limited(x, RATE_HZ, 1000)[RATE_HZ // 2 : RATE_HZ] for x in (wave, coded)]
    assert level_db(low[0] - low[1]) < level_db(low[0]) - 15, "the tone stays, and stays where it was in time"
    assert level_db(wave - coded) > level_db(wave) - 30, "noise does not come through 64 kbit/s unchanged"


@pytest.mark.parametrize("semitones", [-2, 2])
def test_pitch_shift_moves_the_pitch_and_nothing_else(semitones):
    shifted = conditions.pitch_shifted(tone(440), RATE_HZ, semitones)
    assert len(shifted) == 2 * RATE_HZ
    middle = slice(RATE_HZ // 2, 3 * RATE_HZ // 2)
    assert 12 * np.log2(peak_hz(shifted[middle]) / 440) == pytest.approx(semitones, abs=0.05)
    assert level_db(shifted[middle]) == pytest.approx(level_db(tone(440)), abs=1.5)


def test_crops_are_voiced_do_not_overlap_and_are_spread_out():
    silence = np.zeros(10 * RATE_HZ, np.float32)
    voice = np.concatenate([silence, tone(300, 40), silence, tone(300, 20)])
    crops = conditions.choose_crops(voice, RATE_HZ, CONFIG)
    assert len(crops) == CONFIG.crops_per_recording
    for start_s, end_s in crops:
        assert end_s - start_s == pytest.approx(4.0)
        assert level_db(conditions.crop(voice, RATE_HZ, start_s, end_s)) > -20
    starts = [start for start, _ in crops]
    assert np.diff(starts).min() >= 4.0 - 1e-9
    assert starts[0] < 13 and starts[-1] > 70


def test_a_short_recording_is_one_crop_and_a_shorter_one_is_reported():
    assert conditions.choose_crops(tone(300, 2.5), RATE_HZ, CONFIG) == [(0.0, pytest.approx(2.5))]
    with pytest.raises(Problem, match=r"less than 1 s of voice") as told:
        conditions.choose_crops(tone(300, 0.7), RATE_HZ, CONFIG)
    assert told.value.kind == "too_short"
    shorter = EvaluateConfig(min_crop_s=0.5)
    assert conditions.choose_crops(tone(300, 0.7), RATE_HZ, shorter) == [(0.0, pytest.approx(0.7))]
    for silent in (np.zeros(5 * RATE_HZ, np.float32), np.zeros(10, np.float32)):
        with pytest.raises(Problem) as told:
            conditions.choose_crops(silent, RATE_HZ, CONFIG)
        assert told.value.kind == "silent"
    faint = tone(300, 5, level=1e-4)
    with pytest.raises(Problem):
        conditions.choose_crops(faint, RATE_HZ, CONFIG)
    assert len(conditions.choose_crops(faint, RATE_HZ, EvaluateConfig(silence_db=-100))) == 1


def test_a_crop_of_another_length_has_the_same_middle_and_stays_inside():
    wave = np.arange(10 * RATE_HZ, dtype=np.float32)
    assert len(conditions.crop(wave, RATE_HZ, 4, 8)) == 4 * RATE_HZ
    assert conditions.crop(wave, RATE_HZ, 4, 8, 1.0)[0] == pytest.approx(5.5 * RATE_HZ)
    early = conditions.crop(wave, RATE_HZ, 0, 4, 8.0)
    assert early[0] == 0 and len(early) == 8 * RATE_HZ
    assert len(conditions.crop(wave, RATE_HZ, 4, 8, 16.0)) == len(wave)
