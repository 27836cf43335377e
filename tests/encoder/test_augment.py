"""Every augmentation, measured: does it do what it says, and leave the rest alone?"""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoder.augment import filters, level
from encoder.augment.chain import augment
from encoder.augment.codec import FORMATS, round_trip
from encoder.augment.draw import draw
from encoder.augment.masks import mask_features
from encoder.augment.warp import formant_shift, pitch_shift, time_stretch
from encoder.config import NO_AUGMENT, AugmentConfig, chance

RATE = 44100
FORMANTS = ((650, 90), (1100, 100), (2500, 140), (3400, 200))
LOUD_DB = -45.0  # harmonics further below the strongest do not count


def envelope_db(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """The vocal tract of the test's voice: resonances in series under a falling source, dB."""
    response = 1 / (1 + hz / 200)
    for centre, width in FORMANTS:
        pole = -width / 2 + 1j * centre
        response = response * np.abs(np.abs(pole) ** 2 / ((1j * hz - pole) * (1j * hz - np.conj(pole))))
    return np.asarray(20 * np.log10(response))


def voice(pitch_hz: float, seconds: float = 2.0) -> Tensor:
    """A steady voice, (1, samples)."""
    time = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    hz = np.arange(1, int(8000 / pitch_hz)) * pitch_hz
    gains = 10 ** (envelope_db(hz) / 20)
    wave = sum((g * torch.sin(2 * torch.pi * f * time + f)) for f, g in zip(hz, gains, strict=True))
    assert isinstance(wave, Tensor)
    return (0.4 * wave / wave.abs().max()).float()[None]


def pitch_of(wave: Tensor, near_hz: float) -> float:
    """Fundamental, Hz: by the lag of a late maximum of the autocorrelation near a multiple of the period."""
    middle = wave[len(wave) // 4 : 3 * len(wave) // 4].double()
    spectrum = torch.fft.rfft(middle, n=2 * len(middle))
    correlation = torch.fft.irfft(spectrum.abs().square())[: len(middle)]
    lag = RATE / near_hz
    for periods in range(1, 41):
        centre, reach = round(lag * periods), max(2, round(0.06 * RATE / near_hz)) if periods == 1 else 4
        window = correlation[centre - reach : centre + reach + 1]
        lag = (centre - reach + int(window.argmax())) / periods
    return RATE / lag


def semitones(wave: Tensor, before_hz: float, expected: float) -> float:
    return float(12 * np.log2(pitch_of(wave, before_hz * 2 ** (expected / 12)) / before_hz))


def harmonics_db(wave: Tensor, pitch_hz: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies up to 5 kHz and levels of the harmonics, dB."""
    middle = wave[len(wave) // 4 : 3 * len(wave) // 4].double().numpy()
    size = 1 << 18
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), size))
    hz = np.arange(1, int(5000 / pitch_hz)) * pitch_hz
    reach = round(0.1 * pitch_hz / RATE * size)
    centres = np.round(hz / RATE * size).astype(int)
    return hz, np.array([20 * np.log10(spectrum[c - reach : c + reach + 1].max()) for c in centres])


def envelope_error_db(before: Tensor, after: Tensor, before_hz: float, after_hz: float, ratio: float = 1.0) -> float:
    """Mean distance of a shifted voice's harmonics from the envelope that they should lie on."""
    hz, levels = harmonics_db(before, before_hz)
    offset = float(np.mean(levels - envelope_db(hz)))
    hz, levels = harmonics_db(after, after_hz)
    should = envelope_db(hz / ratio) + offset
    loud = should > should.max() + LOUD_DB
    return float(np.abs(levels - should)[loud].mean())


@pytest.mark.parametrize("pitch_hz", [90.0, 110.0, 160.0, 220.0])
@pytest.mark.parametrize("shift", [3.0, -3.0])
def test_a_pitch_shift_moves_the_pitch_and_keeps_the_envelope(pitch_hz: float, shift: float) -> None:
    before = voice(pitch_hz)
    after = pitch_shift(before, RATE, torch.tensor([shift]))
    assert after.shape == before.shape
    assert semitones(after[0], pitch_hz, shift) == pytest.approx(shift, abs=0.1)
    after_hz = pitch_hz * 2 ** (shift / 12)
    assert envelope_error_db(before[0], after[0], pitch_hz, after_hz) < 2.0


def test_pitch_shifts_of_a_batch_are_each_clips_own() -> None:
    both = torch.cat([voice(200.0), voice(150.0)])
    after = pitch_shift(both, RATE, torch.tensor([2.0, -1.5]))
    assert semitones(after[0], 200.0, 2.0) == pytest.approx(2.0, abs=0.1)
    assert semitones(after[1], 150.0, -1.5) == pytest.approx(-1.5, abs=0.1)


@pytest.mark.parametrize("duration", [0.9, 1.1])
def test_a_stretch_changes_the_duration_and_keeps_pitch_and_envelope(duration: float) -> None:
    before = voice(180.0)
    after = time_stretch(before, RATE, torch.tensor([duration]))
    assert after.shape[1] == pytest.approx(before.shape[1] * duration, abs=2)
    assert semitones(after[0], 180.0, 0.0) == pytest.approx(0.0, abs=0.02)
    assert envelope_error_db(before[0], after[0], 180.0, 180.0) < 1.0
    early, late = after[0, 4000:8000].std(), after[0, -8000:-4000].std()
    assert float(early / late) == pytest.approx(1, abs=0.15)


def test_a_stretched_melody_has_its_notes_where_they_belong() -> None:
    before = torch.cat([voice(150.0, 1.0), voice(250.0, 1.0)], dim=1)
    after = time_stretch(before, RATE, torch.tensor([1.25]))[0]
    assert semitones(after[: round(1.15 * RATE)], 150.0, 0.0) == pytest.approx(0, abs=0.05)
    assert semitones(after[round(1.35 * RATE) :], 250.0, 0.0) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("ratio", [0.87, 1.15])
def test_a_formant_shift_moves_the_envelope_and_keeps_the_pitch(ratio: float) -> None:
    before = voice(130.0)
    after = formant_shift(before, RATE, torch.tensor([ratio]))
    assert semitones(after[0], 130.0, 0.0) == pytest.approx(0.0, abs=0.02)
    moved = envelope_error_db(before[0], after[0], 130.0, 130.0, ratio)
    assert moved < 2.0
    assert envelope_error_db(before[0], after[0], 130.0, 130.0) > 2 * moved


def test_the_band_limit_is_3_db_down_at_its_edge_and_steep() -> None:
    hz = filters.frequencies(RATE, RATE, torch.device("cpu"))
    db = 20 * filters.band_limit(hz, torch.tensor([4000.0]))[0].log10()
    assert float(db[4000]) == pytest.approx(-3, abs=0.1)
    assert float(db[3000]) > -0.1
    assert float(db[6000]) < -40


def test_the_equaliser_goes_through_its_gains() -> None:
    hz = filters.frequencies(RATE, RATE, torch.device("cpu"))
    gains = torch.tensor([[6.0, -3.0, 0.0, 9.0]])
    db = 20 * filters.equaliser(hz, gains)[0].log10()
    octaves = np.log2(RATE / 2 / 60)
    for i in range(3):
        assert float(db[round(60 * 2 ** (octaves * i / 3))]) == pytest.approx(float(gains[0, i]), abs=0.1)
    assert float(db.max()) <= 9.01
    assert float(db.min()) >= -3.01


def test_a_room_falls_by_60_db_in_its_time_and_keeps_the_energy() -> None:
    noise = torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))
    response = filters.impulse_responses(torch.tensor([0.5]), torch.tensor([3.0]), RATE, noise)[0]
    assert float(response.square().sum()) == pytest.approx(1, abs=1e-4)
    direct, tail = response[0].square(), response[1:].square().sum()
    assert float(10 * (direct / tail).log10()) == pytest.approx(3, abs=0.01)
    left = response.square().flip(0).cumsum(0).flip(0)[1:]
    decay = (10 * (left / left[0]).log10() > -30).sum() / RATE
    assert float(decay) == pytest.approx(0.25, abs=0.02)


def test_noise_lies_as_far_below_as_asked_and_falls_as_asked() -> None:
    generator = torch.Generator().manual_seed(0)
    wave = voice(200.0)
    spectrum = torch.fft.rfft(wave, n=1 << 17)
    found = filters.noise(spectrum, torch.tensor([3.0]), torch.tensor([20.0]), generator)
    energy = [torch.view_as_real(x).square().sum() for x in (spectrum, found)]
    assert float(10 * (energy[0] / energy[1]).log10()) == pytest.approx(20, abs=0.5)
    power = found.abs().square()[0]
    octaves = [10 * power[1 << k : 2 << k].mean().log10() for k in range(8, 16)]
    assert float((octaves[0] - octaves[-1]) / 7) == pytest.approx(3, abs=0.2)


def test_levels() -> None:
    wave = voice(200.0, 1.0)
    lengths = torch.tensor([RATE])
    louder = level.gain(wave, torch.tensor([6.0206]))
    assert torch.allclose(louder, 2 * wave, atol=1e-4)
    other = torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))
    mixed = level.add_at(wave, other, lengths, torch.tensor([12.0]))
    residue = mixed - wave
    assert float(10 * (wave.square().sum() / residue.square().sum()).log10()) == pytest.approx(12, abs=0.01)
    clipped = level.clip(wave, lengths, torch.tensor([0.01]))
    share = float((clipped.abs() >= clipped.abs().max()).float().mean())
    assert share == pytest.approx(0.01, abs=0.002)
    untouched = wave.abs() < clipped.abs().max()
    assert torch.equal(clipped[untouched], wave[untouched])


def test_masks_hide_one_span_of_time_and_one_band_within_their_ranges() -> None:
    features = torch.ones(64, 200, 80)
    config = NO_AUGMENT.model_copy(
        update={"time_mask_s": chance(1.0, 0.1, 0.3), "frequency_mask": chance(1.0, 0.1, 0.2)}
    )
    n_frames = torch.full((64,), 150)
    out = mask_features(features, n_frames, config, torch.Generator().manual_seed(0), hop_s=0.01)
    times, bands = (out == 0).all(2), (out == 0).all(1)
    assert set(times.sum(1).tolist()) <= set(range(10, 31))
    assert set(bands.sum(1).tolist()) <= set(range(8, 17))
    assert not times[:, 150:].any()
    assert len(set(times.float().argmax(1).tolist())) > 10
    assert ((times.int().diff(dim=1) == 1).sum(1) <= 1).all()


@pytest.mark.parametrize("codec", sorted(FORMATS))
def test_a_codec_keeps_the_voice_in_its_place_and_loses_some(codec: str) -> None:
    wave = voice(200.0, 1.0)[0].numpy()
    out = round_trip(wave, RATE, codec, 0.5)
    assert out.shape == wave.shape
    error = float(np.square(out - wave)[4000:-4000].sum() / np.square(wave)[4000:-4000].sum())
    assert 1e-9 < error < 0.02


def test_draws_follow_probability_and_range() -> None:
    chosen, values = draw(chance(0.3, 2.0, 5.0), 20000, torch.Generator().manual_seed(0))
    assert float(chosen.float().mean()) == pytest.approx(0.3, abs=0.02)
    assert float(values.min()) >= 2
    assert float(values.max()) <= 5
    assert float(values.mean()) == pytest.approx(3.5, abs=0.05)


def batch() -> tuple[Tensor, Tensor, Tensor]:
    views = torch.cat([voice(150.0 + 20 * i, 0.5) for i in range(4)])
    return views, torch.tensor([22050, 22050, 20000, 22050]), torch.tensor([7, 8])


def test_the_chain_is_its_seeds_and_leaves_its_input_alone() -> None:
    waves, lengths, singers = batch()
    before = waves.clone()
    config = AugmentConfig()
    outs = [augment(waves, lengths, singers, RATE, config, torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(outs[0][0], outs[1][0])
    assert not torch.equal(outs[0][0], outs[2][0])
    assert torch.equal(waves, before)
    for wave, length in zip(outs[0][0], outs[0][1], strict=True):
        assert torch.isfinite(wave).all()
        assert wave[int(length) :].abs().sum() == 0


@pytest.mark.parametrize(
    "name", [n for n in AugmentConfig.model_fields if n not in ("time_mask_s", "frequency_mask", "codec")]
)
def test_each_augmentation_alone_changes_what_it_should(name: str) -> None:
    waves, lengths, singers = batch()
    usual = getattr(AugmentConfig(), name)
    config = NO_AUGMENT.model_copy(update={name: usual.model_copy(update={"probability": 1.0})})
    waves = waves * (torch.arange(waves.shape[1]) < lengths[:, None])
    out, new_lengths, new_singers = augment(waves, lengths, singers, RATE, config, torch.Generator().manual_seed(3))
    assert not torch.allclose(out, waves, atol=1e-3)
    assert torch.equal(new_lengths, lengths) == (name != "stretch")
    if name == "pseudo_singer":
        assert (new_singers < 0).all()
        assert len(set(new_singers.tolist())) == 2
    else:
        assert torch.equal(new_singers, singers)
    nothing, _, _ = augment(waves, lengths, singers, RATE, NO_AUGMENT, torch.Generator().manual_seed(3))
    assert torch.equal(nothing, waves)
