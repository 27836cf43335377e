import numpy as np

from pipeline.scoring import index
from pipeline.scoring.index import Index


def test_added_vectors_are_found(simulate, monkeypatch):
    monkeypatch.setattr(index, "PIECE", 300)
    directions, _ = simulate([3] * 400)
    found = Index().add(directions[:800]).add(directions[800:])
    assert [piece.ntotal for piece in found.pieces] == [267, 267, 300, 183, 183]
    assert len(found) == 1200
    assert (found.search(directions, 3) == np.arange(1200)[:, None]).any(1).mean() > 0.99


def test_the_same_vectors_make_the_same_index(simulate):
    directions, _ = simulate([3] * 200)
    once, again = (Index().add(directions).to_bytes() for _ in range(2))
    assert once == again


def test_an_index_is_read_back_from_its_bytes(simulate):
    directions, _ = simulate([3] * 50)
    made = Index().add(directions)
    read = Index.from_bytes(made.to_bytes())
    assert (read.search(directions, 5) == made.search(directions, 5)).all()


def test_missing_neighbours_are_marked(simulate):
    directions, _ = simulate([3])
    assert (Index().add(directions).search(directions, 5) == -1).sum(1).tolist() == [2, 2, 2]
    assert (Index().search(directions, 2) == -1).all()


def test_similar_vectors_follow_each_other(simulate):
    directions, who = simulate([300] * 5, scatter=0.3)
    mixed = np.random.default_rng(0).permutation(len(who))
    order = index._similar_together(directions[mixed])
    assert (np.sort(order) == np.arange(len(who))).all()
    assert (np.diff(who[mixed][order]) != 0).sum() < 20
