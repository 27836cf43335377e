import numpy as np
import pytest

from jobs.bench.quality import si_sdr

# Orthogonal and of equal power, so that ratios can be computed by hand.
VOICE = np.tile([1.0, 1.0, -1.0, -1.0], 100)
OTHER = np.tile([1.0, -1.0, -1.0, 1.0], 100)


@pytest.mark.parametrize(("share", "expected_db"), [(1.0, 0.0), (0.1, 20.0), (10.0, -20.0), (0.5, 6.0206)])
def test_ratios_computed_by_hand(share, expected_db):
    assert si_sdr(VOICE + share * OTHER, VOICE) == pytest.approx(expected_db, abs=1e-3)
    assert si_sdr(-7 * (VOICE + share * OTHER), VOICE) == pytest.approx(
        expected_db, abs=1e-3
    )  # scale makes no difference


def test_a_perfect_estimate_and_one_without_the_voice():
    assert si_sdr(0.3 * VOICE, VOICE) > 200
    assert si_sdr(OTHER, VOICE) < -200
    assert si_sdr(0 * VOICE, VOICE) <= 0


def test_invalid_input_is_refused():
    with pytest.raises(ValueError, match="one length"):
        si_sdr(VOICE[:-1], VOICE)
    with pytest.raises(ValueError, match="silent"):
        si_sdr(VOICE, 0 * VOICE)


def test_never_above_a_library_that_also_forgives_filters():
    separation = pytest.importorskip("mir_eval").separation
    rng = np.random.default_rng(0)
    voice, band = rng.normal(size=(2, 20000))
    estimate = voice + 0.2 * band + 0.1 * np.roll(voice, 3)
    with np.testing.suppress_warnings() as quiet:
        quiet.filter(FutureWarning)
        sdr = separation.bss_eval_sources(voice[None], estimate[None], compute_permutation=False)[0][0]
    assert si_sdr(estimate, voice) < sdr  # the delayed voice counts as error only for SI-SDR
    scaled = voice + 0.2 * band
    with np.testing.suppress_warnings() as quiet:
        quiet.filter(FutureWarning)
        sdr = separation.bss_eval_sources(voice[None], scaled[None], compute_permutation=False)[0][0]
    assert si_sdr(scaled, voice) == pytest.approx(sdr, abs=0.3)
