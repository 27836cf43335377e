"""The chain of augmentations: sampled from one seeded generator, applied to a batch of views on its device.

    warp (pitch, time, pseudo-singer) -> residue -> filters (room, equaliser, band limit) and noise -> clipping, gain

The order is that of a recording: a voice, what a separator left beside it, room and microphone, the file.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from encoder.frontend import valid_mask
from encoder.training.augment import filters, level
from encoder.training.augment.sample import sample
from encoder.training.augment.warp import formant_shift, warp
from encoder.training.config import AugmentConfig


def augment(
    waves: Tensor, lengths: Tensor, identities: Tensor, rate: int, config: AugmentConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Augment both views of n clips.

    Args:
        waves: (2n, samples), all first views, then all second, silent after each clip's length.
        lengths: (2n,) samples.
        identities: (n,) int64, whose voice it is.
        rate: sample rate in Hz.
        config: what happens how often.
        generator: of the random numbers.

    Returns:
        Waves, lengths and identities of the same shapes; a clip that became a pseudo-singer has a new, negative
        identity.
    """
    # The steps write into this copy, and only to the clips that they apply to.
    waves = waves.clone()
    lengths, identities = shift_voices(waves, lengths, identities, rate, config, generator)
    add_residue(waves, lengths, config, generator)
    colour(waves, lengths, rate, config, generator)
    chosen, share = sample(config.clip_share, len(waves), generator)
    if chosen.any():
        waves[chosen] = level.clip(waves[chosen], lengths[chosen], share[chosen])
    chosen, db = sample(config.gain_db, len(waves), generator)
    waves *= level.db_to_gain(db * chosen)[:, None]
    return waves, lengths, identities


def shift_voices(
    waves: Tensor, lengths: Tensor, identities: Tensor, rate: int, config: AugmentConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Shift pitch and stretch single views; shift the formants of both views alike, which makes another singer.

    The waves are changed in place; arguments as `augment`.

    Returns:
        Lengths (2n,) and identities (n,) afterwards.
    """
    n = len(identities)
    pseudo, ratio = sample(config.pseudo_singer, n, generator)
    formants = torch.where(pseudo, ratio, 1.0).repeat(2)
    shifted, semitones = sample(config.pitch_semitones, 2 * n, generator)
    pitch = torch.where(shifted, torch.pow(2.0, semitones / 12), 1.0)
    stretched, factor = sample(config.stretch, 2 * n, generator)
    duration = torch.where(stretched, factor, 1.0)
    # Shifting formants alone is by far the cheapest, and needs no overlap-add.
    alone = (formants != 1) & (pitch == 1) & (duration == 1)
    others = (pitch != 1) | (duration != 1)
    # What is longer than the batch is cut off, so that its size stays.
    lengths = (lengths * duration).long().clamp(max=waves.shape[1])
    if alone.any():
        waves[alone] = formant_shift(waves[alone], rate, formants[alone])
    if others.any():
        warped = warp(waves[others], rate, pitch[others], formants[others], duration[others])
        waves[others] = F.pad(warped, (0, waves.shape[1] - warped.shape[1]))
    silence_ends(waves, lengths)
    new = -(
        torch.arange(n, device=identities.device)
        + 1
        + torch.randint(2**62, (1,), generator=generator, device=generator.device)
    )
    return lengths, torch.where(pseudo, new, identities)


def silence_ends(waves: Tensor, lengths: Tensor) -> None:
    """Make each clip silent after its length, in place."""
    short = lengths < waves.shape[1]
    if short.any():
        waves[short] *= valid_mask(lengths[short], waves.shape[1])


def add_residue(waves: Tensor, lengths: Tensor, config: AugmentConfig, generator: torch.Generator) -> None:
    """Add a trace of another clip of the batch, in place, as a separator leaves some of the accompaniment."""
    chosen, ratio_db = sample(config.residue_db, len(waves), generator)
    step = torch.randint(1, max(2, len(waves) // 2), (1,), generator=generator, device=generator.device)
    if not chosen.any():
        return
    # Played backwards, a voice keeps its sound but is no longer singing that could be followed.
    others = waves[(torch.arange(len(waves), device=waves.device)[chosen] - int(step)) % len(waves)].flip(1)
    waves[chosen] = level.add_at(waves[chosen], others, lengths[chosen], ratio_db[chosen])
    silence_ends(waves, lengths)


def colour(waves: Tensor, lengths: Tensor, rate: int, config: AugmentConfig, generator: torch.Generator) -> None:
    """Apply room, equaliser, band limit and noise in place, by one transform there and back for all of them."""
    batch, device = len(waves), waves.device
    limited, edges = sample(config.band_limit_hz, batch, generator)
    equalised, depth = sample(config.equaliser_db, batch, generator)
    reverberant, decay = sample(config.reverb_s, batch, generator)
    noisy, ratio_db = sample(config.noise_db, batch, generator)
    direct_db = 12 * torch.rand(batch, generator=generator, device=device)
    slope_db = 6 * torch.rand(batch, generator=generator, device=device)
    gains_db = torch.randn(batch, filters.EQUALISER_POINTS, generator=generator, device=device) * depth[:, None]
    tail = int(config.reverb_s.high * rate)
    size = filters.fast_size(waves.shape[1] + tail)
    hz = filters.frequencies(size, rate, device)
    some = limited | equalised | reverberant | noisy
    if not some.any():
        return
    spectrum = torch.fft.rfft(waves[some], n=size)
    if reverberant.any():
        noise = torch.randn(int(reverberant.sum()), tail, generator=generator, device=device)
        rooms = filters.impulse_responses(decay[reverberant], direct_db[reverberant], rate, noise)
        spectrum[reverberant[some]] *= torch.fft.rfft(rooms, n=size)
    if noisy.any():
        spectrum[noisy[some]] += filters.noise(spectrum[noisy[some]], slope_db[noisy], ratio_db[noisy], generator)
    if equalised.any():
        spectrum[equalised[some]] *= filters.equaliser(hz, gains_db[equalised])
    if limited.any():
        spectrum[limited[some]] *= filters.band_limit(hz, edges[limited])
    waves[some] = torch.fft.irfft(spectrum, n=size)[:, : waves.shape[1]]
    silence_ends(waves, lengths)
