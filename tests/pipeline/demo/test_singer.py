import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.demo.singer import VOWELS_HZ, Singer, draw_singer, draw_singers


def test_the_same_seed_draws_the_same_singers_and_another_seed_others():
    first, again, other = (draw_singers(["a", "b", "c"], np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_every_drawn_singer_has_formants_in_order_and_a_range_of_an_octave():
    generator = np.random.default_rng(0)
    for number in range(200):
        singer = draw_singer(f"s{number}", number / 199, generator)
        for vowel in VOWELS_HZ:
            formants = (*singer.vowels_hz[vowel], *singer.upper_formants_hz)
            assert np.all(np.diff(formants) > 0), (singer.name, vowel, formants)
        assert singer.high_midi - singer.low_midi >= 12


def test_a_high_voice_has_a_short_tract_and_high_formants():
    low, high = (draw_singer("x", voice, np.random.default_rng(1)) for voice in (0.0, 1.0))
    assert high.low_midi > low.low_midi + 10
    assert high.tract_length < 0.85 * low.tract_length
    assert all(high.vowels_hz[v][1] > 1.1 * low.vowels_hz[v][1] for v in VOWELS_HZ)


def test_a_catalogues_singers_range_from_low_to_high_voices():
    lengths = sorted(s.tract_length for s in draw_singers([str(i) for i in range(8)], np.random.default_rng(2)))
    assert lengths[0] < 0.87
    assert lengths[-1] > 0.98


@pytest.mark.parametrize("wrong", [{"jitter": -1.0}, {"open_quotient": 2.0}, {"sex": "f"}])
def test_an_impossible_or_unknown_setting_is_refused(wrong):
    with pytest.raises(ValidationError):
        Singer(name="x", **wrong)
