import numpy as np

from jobs.tasks import in_tasks
from pipeline.scoring import index
from pipeline.scoring.index import Index, in_threads


def scaled(values: np.ndarray, factor: int) -> int:
    return int(values.sum() * factor)


def test_results_come_in_the_order_of_the_calls(ray_cluster):
    values = np.arange(10_000)
    assert in_tasks(scaled, [(values, i) for i in range(8)]) == in_threads(scaled, [(values, i) for i in range(8)])
    assert in_tasks(scaled, []) == []


def test_tasks_build_and_search_the_same_index_as_threads(ray_cluster, monkeypatch):
    monkeypatch.setattr(index, "PIECE", 150)
    monkeypatch.setattr(index, "BLOCK", 100)
    directions = np.random.default_rng(0).normal(size=(400, 16)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    one, other = Index().add(directions[:350]), Index().add(directions[:350], in_tasks)
    assert one.to_bytes() == other.to_bytes()
    for made, starmap in ((one, in_threads), (other, in_tasks)):
        made.add(directions[350:], starmap)
    assert (one.search(directions, 5) == other.search(directions, 5, starmap=in_tasks)).all()
