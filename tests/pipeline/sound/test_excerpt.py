"""Excerpts are at the given times in every format, and what is not needed is not decoded."""

import itertools

import av
import numpy as np
import pytest

from pipeline.demo import encode
from pipeline.sections import ExcerptsConfig
from pipeline.sound import audio, excerpt
from pipeline.sound.audio import Audio
from pipeline.sound.excerpt import WHOLE, Excerpt, heard, planned
from pipeline.sound.reading import Reading
from pipeline.store.errors import Problem

RATE, LENGTH_S = 48000, 12.0  # the only rate that Opus has


def noise() -> np.ndarray:
    """Return noise (2, n) with a spectrum like music's, no stretch of which is like another."""
    white = np.random.default_rng(0).normal(0, 1, (2, round(LENGTH_S * RATE)))
    smooth = np.cumsum(white, axis=1) * 0.01
    smooth = smooth[:, 64:] - smooth[:, :-64]
    return np.clip(smooth, -0.9, 0.9).astype(np.float32)


def decoded_s(reading: Reading) -> float:
    for _ in reading.pieces():
        pass
    return reading.read_s


@pytest.mark.parametrize("suffix", encode.SUFFIXES)
def test_an_excerpt_is_that_part_of_the_whole(tmp_path, suffix):
    path = tmp_path / f"song{suffix}"
    encode.write(path, Audio(noise(), RATE))
    whole = audio.read(path, RATE, 2).samples
    for part in (Excerpt(0.0, 2.0), Excerpt(5.3, 8.0), Excerpt(9.0, 11.0)):
        found = np.concatenate(list(audio.blocks(path, RATE, 2, excerpt=part)), axis=1)
        expected = whole[:, round(part.start_s * RATE) : round(part.end_s * RATE)]
        assert found.shape == expected.shape
        difference = found - expected  # AAC and Opus replace what they leave out by random noise
        assert np.square(difference).mean() < 0.01 * np.square(expected).mean()


@pytest.mark.parametrize("suffix", encode.SUFFIXES)
def test_hardly_anything_before_an_excerpt_is_decoded(tmp_path, suffix):
    path = tmp_path / f"song{suffix}"
    encode.write(path, Audio(noise(), RATE))
    reading = Reading(path, skip_s=9.0)
    assert decoded_s(reading) == pytest.approx(LENGTH_S - 9.0, abs=0.3)
    assert reading.begins_s == pytest.approx(9.0, abs=0.3)


def test_a_format_without_seeking_is_decoded_from_the_start(tmp_path):
    with av.open(str(tmp_path / "song.wma"), "w", format="asf") as out:
        stream = out.add_stream("wmav2", rate=RATE, layout="stereo", bit_rate=128_000)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(noise()), "fltp", "stereo")
        frame.sample_rate = RATE
        resampler = av.AudioResampler("fltp", "stereo", RATE, stream.codec_context.frame_size or 1024)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    whole = audio.read(tmp_path / "song.wma", RATE, 1).samples
    found = np.concatenate(list(audio.blocks(tmp_path / "song.wma", RATE, 1, excerpt=Excerpt(6.0, 8.0))), axis=1)
    np.testing.assert_allclose(found, whole[:, 6 * RATE : 8 * RATE], atol=1e-5)


def test_times_in_a_chain_count_from_its_first_link(tmp_path):
    wave = noise()
    for name, part in (("a.ogg", wave[:, : 4 * RATE]), ("b.ogg", wave[:, 4 * RATE :])):
        encode.write(tmp_path / name, Audio(part, RATE))
    (tmp_path / "chain.ogg").write_bytes((tmp_path / "a.ogg").read_bytes() + (tmp_path / "b.ogg").read_bytes())
    whole = audio.read(tmp_path / "chain.ogg", RATE, 2).samples
    found = np.concatenate(list(audio.blocks(tmp_path / "chain.ogg", RATE, 2, excerpt=Excerpt(6.0, 8.0))), axis=1)
    np.testing.assert_allclose(found, whole[:, 6 * RATE : 8 * RATE], atol=1e-5)


def test_an_excerpt_beyond_the_end_is_a_problem_and_one_across_it_is_short(tmp_path):
    path = tmp_path / "song.flac"
    encode.write(path, Audio(noise(), RATE))
    assert sum(block.shape[1] for block in audio.blocks(path, RATE, 1, excerpt=Excerpt(11.0, 14.0))) < 1.1 * RATE
    with pytest.raises(Problem, match="shorter than one sample"):
        list(audio.blocks(path, RATE, 1, excerpt=Excerpt(20.0, 22.0)))


def test_excerpts_are_spread_over_a_track_and_do_not_overlap():
    found = planned(200.0, ExcerptsConfig(count=4, seconds=15))
    assert found == [(17.5, 32.5), (67.5, 82.5), (117.5, 132.5), (167.5, 182.5)]
    odd = planned(61.37, ExcerptsConfig(count=5, seconds=12))
    assert all(one.end_s <= other.start_s for one, other in itertools.pairwise(odd))
    assert odd[0].start_s >= 0
    assert odd[-1].end_s <= 61.37
    assert all(round(place_s / excerpt.GRID_S, 6) % 1 == 0 for part in odd for place_s in part)


def test_tracks_that_are_short_or_of_unknown_length_are_heard_whole():
    config = ExcerptsConfig(count=4, seconds=15)
    assert planned(60.0, config) == planned(None, config) == planned(500.0, None) == heard(None) == [WHOLE]
    assert heard([{"start_s": 1.0, "end_s": 2.0}]) == [Excerpt(1.0, 2.0)]
