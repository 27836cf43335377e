"""The neighbours that a workspace stores, on simulated voices; limits are lowered so that these are many."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.scoring import index, kept, neighbours
from pipeline.scoring.voices import Voices


@pytest.fixture
def voices(simulate, monkeypatch) -> Voices:
    monkeypatch.setattr(neighbours, "EXACT", 100)
    monkeypatch.setattr(index, "PIECE", 200)
    vectors, who = simulate([3] * 200)
    order = np.random.default_rng(0).permutation(len(who))
    return Voices(np.array([f"{i:032x}" for i in range(len(who))], object), vectors[order], np.full(len(who), 60.0))


def ask(workspace, voices, backend) -> set[tuple[str, str]]:
    """Return the pairs of neighbours, by their ids."""
    near = kept.nearest(workspace, voices, backend)
    at, rank = np.nonzero(near >= 0)
    assert (near[at, rank] != at).all()
    return set(zip(voices.track_ids[at], voices.track_ids[near[at, rank]], strict=True))


def files(workspace) -> set[str]:
    return set(workspace.list(kept.FOLDER))


def test_a_second_search_finds_the_same_and_writes_nothing(workspace, voices, backend):
    first = ask(workspace, voices, backend)
    there = {name: workspace.read_bytes(name) for name in files(workspace)}
    assert len(there) == 4
    assert ask(workspace, voices, backend) == first
    assert {name: workspace.read_bytes(name) for name in files(workspace)} == there


def test_new_tracks_are_added_and_removed_ones_are_no_neighbours(workspace, voices, backend):
    ask(workspace, voices[np.arange(560)], backend)
    before = files(workspace)
    rows = np.r_[10:600]
    found = ask(workspace, voices[rows], backend)
    assert len(files(workspace) & before) == 3, "two full pieces stay; the list has the name it had"
    gone = set(voices.track_ids[:10])
    assert not gone & {track for pair in found for track in pair}
    evidence = backend.evidence(voices.means[rows], voices.seconds[rows])
    near = neighbours.nearest(evidence, backend)
    new = set(voices.track_ids[560:])
    fresh = {(voices.track_ids[rows[i]], voices.track_ids[rows[j]]) for i in range(590) for j in near[i]}
    of_new = {pair for pair in fresh if pair[0] in new}
    assert len(found & of_new) > 0.97 * len(of_new)


@pytest.mark.parametrize("what", ["another encoder", "another centre", "other voices", "many new tracks"])
def test_an_index_that_no_longer_fits_is_rebuilt(workspace, voices, backend, what):
    ask(workspace, voices[np.arange(450)], backend)
    before = {name for name in files(workspace) if name != kept.LIST}
    now, space = voices[np.arange(450)], backend
    if what == "another encoder":
        space = replace(backend, encoder_id="other")
    elif what == "another centre":
        space = replace(backend, mean=backend.mean + 0.1)
    elif what == "other voices":
        now = replace(now, means=now.means[::-1].copy())
    else:
        now = voices
    ask(workspace, now, space)
    after = {name for name in files(workspace) if name != kept.LIST}
    assert (after != before) == (what in ("other voices", "many new tracks"))
    assert len(after) == 3
    read = kept._read(workspace)
    assert read.backend.encoder_id == space.encoder_id
    np.testing.assert_allclose(read.backend.mean, space.mean, atol=1e-6)


@pytest.mark.parametrize("harm", ["a piece is gone", "a piece is no index", "the list is no table"])
def test_an_index_that_cannot_be_read_is_rebuilt(workspace, voices, backend, harm):
    ask(workspace, voices[np.arange(590)], backend)
    piece = min(files(workspace) - {kept.LIST})
    if harm == "a piece is gone":
        workspace.delete(piece)
    else:
        name = piece if harm == "a piece is no index" else kept.LIST
        workspace.delete(name)
        workspace.write_bytes(name, b"something else")
    rebuilt = ask(workspace, voices, backend)
    assert len(kept._index(workspace, kept._read(workspace))) == len(voices)
    workspace.delete(kept.FOLDER)
    assert ask(workspace, voices, backend) == rebuilt


def test_stored_neighbours_are_read_without_the_index(workspace, voices, backend):
    first = ask(workspace, voices, backend)
    for piece in files(workspace) - {kept.LIST}:
        workspace.delete(piece)
    assert ask(workspace, voices, backend) == first


def test_a_small_catalogue_stores_nothing(workspace, voices, backend):
    ask(workspace, voices[np.arange(90)], backend)
    assert not files(workspace)
