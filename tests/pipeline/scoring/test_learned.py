"""The groups that a network is trained on as singers, and the test of what it has learned."""

from copy import deepcopy
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch

from encoder.training.objectives.contrastive import nt_xent
from pipeline.scoring import adapted, learned, metrics
from pipeline.scoring.backend import Backend
from pipeline.scoring.scatter import Scatter, scatter
from pipeline.scoring.scores import unit
from pipeline.scoring.voices import Voices

DIM = 48


class Heard(NamedTuple):
    """Tracks in all of their clips, in every other clip, and in those in between; and the scatter of the clips."""

    every: Voices
    teaching: Voices
    testing: Voices
    clips: Scatter


def heard(clips: np.ndarray) -> Heard:
    """Return tracks from their `clips (n, 6, d)`."""
    names = np.array([f"t{i:04}" for i in range(len(clips))])
    parts = [clips, clips[:, ::2], clips[:, 1::2]]
    found = (Voices(names, part.mean(1), np.full(len(clips), 6.0 * part.shape[1])) for part in parts)
    return Heard(*found, scatter(clips.reshape(-1, DIM), np.repeat(np.arange(len(clips)), 6)))


def sung(who: np.ndarray, song: np.ndarray | float, seed: int = 0) -> np.ndarray:
    """Return the clips (n, 6, d) of tracks by the singers `who (n,)`; `song (d,)` is how much songs differ."""
    rng = np.random.default_rng(seed)
    tracks = rng.normal(size=(who.max() + 1, DIM))[who] + song * rng.normal(size=(len(who), DIM))
    return unit(tracks[:, None] + rng.normal(size=(len(who), 6, DIM)))


def catalogue(sizes: list[int], song: float, seed: int = 0) -> tuple[Voices, Voices, Voices, np.ndarray, Scatter]:
    """Return tracks by singers with this many songs, who sings each, and the clips; `song` is how much songs differ.

    Returns:
        The voices, in all clips, in every other clip and in the clips in between; the singers (n,); the clips' scatter.
    """
    who = np.repeat(np.arange(len(sizes)), sizes)
    every, teaching, testing, clips = heard(sung(who, song, seed))
    return every, teaching, testing, who, clips


def trained(clips: np.ndarray, singer: np.ndarray) -> torch.nn.Linear:
    """Return a network of one layer, trained on every other clip of tracks, as if `singer (n,)` sang them."""
    rng, layer = np.random.default_rng(0), torch.nn.Linear(DIM, DIM, bias=False)
    torch.nn.init.eye_(layer.weight)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.01)
    teaching, songs = torch.from_numpy(clips[:, ::2]).float(), [np.flatnonzero(singer == name) for name in singer]
    for _ in range(100):
        tracks = rng.integers(len(singer), size=64)
        partners = np.array([rng.choice(songs[track]) for track in tracks])
        views = [
            torch.nn.functional.normalize(layer(teaching[at, rng.integers(3, size=64)])) for at in (tracks, partners)
        ]
        loss = nt_xent(*views, torch.from_numpy(singer[tracks]), temperature=0.1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return layer


def with_noise(layer: torch.nn.Linear, noise: float) -> torch.nn.Linear:
    """Return a copy with noise on its weights."""
    found, rng = deepcopy(layer), torch.Generator().manual_seed(0)
    with torch.no_grad():
        found.weight += noise * torch.randn(found.weight.shape, generator=rng)
    return found


@torch.no_grad()
def by(layer: torch.nn.Linear, clips: np.ndarray) -> np.ndarray:
    """Return clips (n, 6, d) as a network hears them."""
    return unit(layer(torch.from_numpy(clips).float()).double().numpy())


@pytest.fixture
def plain() -> Backend:
    """Return a back-end that takes vectors as they are."""
    return Backend(np.zeros(DIM), np.eye(DIM), encoder_id="e")


def test_most_groups_have_one_singer_and_short_tracks_have_none(plain):
    voices, half, _, who, _ = catalogue([5] * 12 + [1] * 20, song=0.3)
    voices.seconds[:3] = 8.0
    whose, several = learned.pseudo_singers(voices, half, plain)
    assert several >= 8
    assert whose[:3].tolist() == [-1] * 3
    assert metrics.bcubed(who[3:], whose[3:]).precision > 0.9
    assert (whose <= np.arange(len(whose))).all() and (whose[whose[3:]] == whose[3:]).all()


def test_credits_join_tracks_if_the_voices_agree(plain):
    voices, half, _, who, _ = catalogue([5] * 12, song=1.3)
    alone, _ = learned.pseudo_singers(voices, half, plain)
    credit = np.array([f"singer {name}" for name in who], object)
    credited, _ = learned.pseudo_singers(voices, half, plain, credit)
    assert len(set(credited)) < len(set(alone))


def test_an_encoder_that_tells_singers_apart_better_passes_the_test(plain):
    voices, _, tested, who, _ = catalogue([5] * 16, song=1.0)
    closer, _, tested_closer, _, clips = catalogue([5] * 16, song=0.4)
    lesson = learned.judged(voices, plain, closer, clips, (tested, tested_closer), 9)
    assert lesson.better and lesson.errors.after < lesson.errors.before and lesson.groups == 9
    both = (plain, voices), (lesson.backend, closer)
    true = [adapted.disagreement(backend, found.means, who) for backend, found in both]
    assert true[1] < true[0]
    assert lesson.backend.numbers.share > plain.numbers.share
    apart = [np.square((found.means - backend.mean) @ backend.matrix).sum() for backend, found in both]
    assert apart[1] == pytest.approx(apart[0], rel=0.05)
    worse = learned.judged(closer, plain, voices, clips, (tested_closer, tested), 9)
    assert not worse.better


def test_a_network_taught_by_the_groups_passes_and_one_taught_by_shuffled_groups_fails(plain):
    who = np.repeat(np.arange(30), 5)
    clips = sung(who, song=np.where(np.arange(DIM) < 6, 2.0, 0.7))
    start = heard(clips)
    whose, groups = learned.pseudo_singers(start.every, start.teaching, plain)
    wrong = np.random.default_rng(0).permutation(whose)
    found = {}
    for name, network in {
        "right": trained(clips, whose),
        "wrong": trained(clips, wrong),
        "noise": with_noise(trained(clips, whose), 1.0),
    }.items():
        after = heard(by(network, clips))
        lesson = learned.judged(start.every, plain, after.every, after.clips, (start.testing, after.testing), groups)
        scored = (plain, start.every), (lesson.backend, after.every)
        before, now = (adapted.disagreement(backend, voices.means, who) for backend, voices in scored)
        found[name] = lesson.better, now < before
    assert found == {"right": (True, True), "wrong": (False, False), "noise": (False, False)}


def test_tracks_without_clips_in_between_are_not_in_the_test(plain):
    voices, _, tested, _, clips = catalogue([5] * 16, song=1.0)
    closer, _, tested_closer, _, _ = catalogue([5] * 16, song=0.4)
    some, testing = np.arange(40), (tested, tested_closer)
    half = tested[some], tested_closer[some]
    expected = learned.judged(voices[some], plain, closer[some], clips, half, 9)
    for part in testing:
        part.means[40:], part.seconds[40:] = 0.0, 0.0
    found = learned.judged(voices, plain, closer, clips, testing, 9)
    assert found.errors.after == pytest.approx(expected.errors.after, abs=0.02)


def test_the_centre_moves_as_the_voices_do(plain):
    voices, _, tested, _, clips = catalogue([5] * 16, song=0.5)
    moved, moved_tested = (replace(part, means=part.means + 0.2) for part in (voices, tested))
    lesson = learned.judged(voices, plain, moved, clips, (tested, moved_tested), 9)
    np.testing.assert_allclose(lesson.backend.mean, plain.mean + 0.2, atol=1e-6)
    assert lesson.errors.after == pytest.approx(lesson.errors.before, abs=0.01)
