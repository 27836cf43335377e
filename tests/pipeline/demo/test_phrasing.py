import numpy as np
import pytest

from pipeline.demo.phrasing import CONSONANTS, CONTROL_HZ, phrase
from pipeline.demo.singer import Singer
from pipeline.demo.song import CONSONANTS as SUNG_CONSONANTS
from pipeline.demo.song import Note

SINGER = Singer(name="x", vibrato_cents=0.0, scoop_semitones=0.0)


def note(start_s=0.5, duration_s=1.0, midi=57.0, syllable="a"):
    return Note(start_s=start_s, duration_s=duration_s, midi=midi, syllable=syllable)


def at(curve, time_s):
    return curve[int(time_s * CONTROL_HZ)]


def test_every_consonant_of_the_songs_can_be_sung():
    assert set(SUNG_CONSONANTS) == set(CONSONANTS)
    for consonant in CONSONANTS:
        curves = phrase(SINGER, [note(syllable=consonant + "a")], np.random.default_rng(0))
        assert np.isfinite(curves.f0_hz).all()
        assert np.isfinite(curves.formants_hz).all()
        assert (len(curves.noises) > 1) == (CONSONANTS[consonant].noise is not None)  # the first is the breath


def test_the_voice_sounds_in_notes_and_not_in_rests():
    curves = phrase(SINGER, [note(0.5, 0.5), note(1.6, 0.5)], np.random.default_rng(0))
    assert at(curves.voicing, 0.75) > 0.7
    assert at(curves.voicing, 1.85) > 0.7
    assert max(at(curves.voicing, t) for t in (0.2, 1.2, 1.4, 2.3)) < 1e-3


def test_a_vowel_is_reached_on_the_beat_and_its_consonant_comes_before_it():
    curves = phrase(SINGER, [note(0.5, 0.5, syllable="u"), note(1.0, 0.5, syllable="si")], np.random.default_rng(0))
    np.testing.assert_allclose(at(curves.formants_hz, 0.75), SINGER.vowels_hz["u"], rtol=0.02)
    np.testing.assert_allclose(at(curves.formants_hz, 1.3), SINGER.vowels_hz["i"], rtol=0.02)
    assert at(curves.voicing, 0.94) < 0.1  # within the s
    hiss = curves.noises[-1]
    assert hiss.centre_hz == SINGER.sibilant_hz
    assert 0.85 < hiss.start_s < hiss.start_s + hiss.duration_s < 1.0


def test_pitch_glides_from_note_to_note_and_holds():
    curves = phrase(SINGER, [note(0.5, 0.8, 57.0), note(1.3, 0.8, 64.0)], np.random.default_rng(0))
    midi = 69 + 12 * np.log2(curves.f0_hz / 440)
    assert at(midi, 0.9) == pytest.approx(57.0, abs=0.15)
    assert at(midi, 1.8) == pytest.approx(64.0, abs=0.15)
    assert np.abs(np.diff(midi)).max() < 0.35  # per ms: a glide, no jump


def test_breath_is_taken_in_long_rests_only():
    long_rest = phrase(SINGER, [note(0.0, 0.5), note(1.5, 0.5)], np.random.default_rng(0))
    short_rest = phrase(SINGER, [note(0.0, 0.5), note(0.7, 0.5)], np.random.default_rng(0))
    assert [0.5 < n.start_s < n.start_s + n.duration_s < 1.5 for n in long_rest.noises] == [True]
    assert short_rest.noises == ()


@pytest.mark.parametrize(
    ("melody", "message"),
    [
        ([], "at least one note"),
        ([note(0.0, 1.0), note(0.5, 1.0)], "note 1 begins before"),
        ([note(duration_s=0.0)], "note 0"),
        ([note(syllable="zzz")], "can't be sung: 'zzz'"),
        ([note(syllable="")], "can't be sung"),
    ],
)
def test_a_syllable_that_cannot_be_sung_is_refused_by_name(melody, message):
    with pytest.raises(ValueError, match=message):
        phrase(SINGER, melody, np.random.default_rng(0))
