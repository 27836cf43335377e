"""What all separators share: stacks of segments of several tracks, errors that stay with their track, precision."""

import numpy as np
import pytest
import torch

from pipeline.separators import Level, load, separate_tracks, vocals_of
from pipeline.store.errors import ConfigError


def noise(n: int) -> torch.Tensor:
    return 0.1 * torch.randn(2, n, generator=torch.Generator().manual_seed(n))


@pytest.fixture(scope="module")
def separator():
    return load("spleeter", precision="fp32")


def test_a_level_is_the_same_in_blocks_of_any_size():
    wave = noise(10_000) + 0.3
    whole = wave.mean(0)
    found = Level.of(wave.split(777, dim=1))
    assert found.mean == pytest.approx(float(whole.mean()), abs=1e-6)
    assert found.std == pytest.approx(float(whole.std()), abs=1e-6)


def test_an_error_costs_only_its_own_track(separator):
    def broken():
        yield noise(3000)
        raise OSError("the file breaks off")

    pieces = list(
        separate_tracks(separator, [("a", None, [noise(3000)]), ("b", None, broken()), ("c", None, [noise(3000)])])
    )
    assert [(piece.key, str(piece.error)) for piece in pieces if piece.error] == [("b", "the file breaks off")]
    assert {piece.key for piece in pieces if piece.vocals is not None} == {"a", "c"}


def test_too_little_memory_halves_the_stack_before_it_fails_a_track():
    separator = load("spleeter", precision="fp32", stack=4)
    run, sizes = separator.run, []

    def small_device(waves: torch.Tensor, length: int) -> torch.Tensor:
        sizes.append(len(waves))
        if len(waves) > 2 or waves.abs().max() > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(waves, length)

    separator.run = small_device
    waves = [noise(3000), noise(3000), 1000 * noise(3000), noise(3000)]
    pieces = list(separate_tracks(separator, [(i, None, [wave]) for i, wave in enumerate(waves)]))
    assert sizes == [4, 2, 2, 1, 1]
    assert [piece.key for piece in pieces if piece.error] == [2]
    assert {piece.key for piece in pieces if piece.vocals is not None} == {0, 1, 3}


def test_fp16_is_only_for_gpus():
    with pytest.raises(ConfigError, match="fp16 needs a GPU"):
        load("spleeter", precision="fp16")


@pytest.mark.parametrize(("channels", "n"), [(1, 22050), (2, 10001)])
def test_vocals_of_a_mix_keep_its_rate_and_length(separator, channels, n):
    assert vocals_of(separator, noise(n)[:channels].numpy(), 16000).shape == (separator.channels, n)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_vocals_of_a_mix_stay_at_their_times(separator, rate):
    time_s = np.arange(3 * rate) / rate
    voice = 0.2 * np.sin(2 * np.pi * 300 * time_s + 3 * np.sin(2 * np.pi * 5 * time_s)).astype(np.float32)
    found = vocals_of(separator, voice[None], rate)[0]
    inner, lags = slice(rate, 2 * rate), range(-40, 41)
    match = [float(voice[inner] @ np.roll(found, lag)[inner]) for lag in lags]
    assert abs(lags[int(np.argmax(match))]) <= 1
