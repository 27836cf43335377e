import numpy as np

from pipeline.scoring import scatter
from pipeline.store import tables


def literal(vectors: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, int]:
    """Return squares and degrees of freedom, summed group by group and row by row."""
    squares, degrees = np.zeros((vectors.shape[1], vectors.shape[1])), 0
    for name in set(group.tolist()):
        own = vectors[group == name]
        for row in own:
            squares += np.outer(row - own.mean(0), row - own.mean(0))
        degrees += len(own) - 1
    return squares, degrees


def test_the_scatter_is_of_rows_around_the_mean_of_their_group():
    rng = np.random.default_rng(0)
    vectors, group = rng.normal(size=(30, 5)), rng.integers(0, 7, 30)
    found = scatter.scatter(vectors, group)
    squares, degrees = literal(vectors, group)
    np.testing.assert_allclose(found.squares, squares, atol=1e-12)
    assert found.degrees == degrees


def test_with_a_power_below_one_large_groups_count_less():
    rng = np.random.default_rng(2)
    vectors, group = rng.normal(size=(31, 5)), np.repeat([0, 1, 2, 3], [17, 10, 3, 1])
    found = scatter.scatter(vectors, group, 0.5)
    apart = [literal(vectors[group == name], group[group == name])[0] for name in range(3)]
    expected = sum(squares / np.sqrt(n) for squares, n in zip(apart, (16, 9, 2), strict=True))
    np.testing.assert_allclose(found.squares, expected, atol=1e-12)
    assert found.degrees == 4 + 3 + np.sqrt(2)


def test_parts_of_embeddings_add_up_to_the_scatter_of_all_clips(workspace):
    rng = np.random.default_rng(1)
    vectors, track = rng.normal(size=(12, 4)).astype(np.float32), np.repeat(np.arange(4), 3).astype(str)
    for part in range(2):
        rows = [
            {"clip_id": str(i), "track_id": track[i], "embedding": vectors[i].tolist(), "encoder_id": "e"}
            for i in range(6 * part, 6 * part + 6)
        ]
        tables.write(workspace, "embeddings", rows, str(part))
    first, second = tables.parts(workspace, "embeddings")
    total = scatter.of_clips(workspace, [first], 4) + scatter.of_clips(workspace, [second], 4)
    squares, degrees = literal(vectors.astype(float), track)
    np.testing.assert_allclose(total.squares, squares, rtol=1e-5)
    assert total.degrees == degrees == 8


def test_vectors_of_another_dimension_are_left_out(workspace):
    tables.write(workspace, "embeddings", [{"clip_id": "a", "track_id": "t", "embedding": [1.0, 0.0]}], "0")
    found = scatter.of_clips(workspace, tables.parts(workspace, "embeddings"), 3)
    assert found.degrees == 0 and not found.squares.any()
