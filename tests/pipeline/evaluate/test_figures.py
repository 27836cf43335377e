"""Every figure is a PNG with something on it, and is the same when drawn again."""

import io

import matplotlib.image
import numpy as np
import pytest

from pipeline.evaluate import figures
from pipeline.evaluate.tasks import Scored
from pipeline.scoring.scores import reliability

LABELS = np.arange(400) % 4 == 0
SCORED = Scored(np.random.default_rng(0).normal(size=400) + 2 * LABELS, LABELS)
PERFECT = Scored(LABELS.astype(float), LABELS)
PICTURES = {
    "det": lambda: figures.det({"ours": SCORED, "perfect": PERFECT}, "t"),
    "histogram": lambda: figures.histogram(SCORED, "t"),
    "confusion": lambda: figures.confusion(np.array(["a", "b"]), np.array([[3, 1], [0, 0]]), "t"),
    "reliability": lambda: figures.reliability(reliability(np.linspace(0, 1, 400), LABELS), "t"),
    "lengths": lambda: figures.lengths({"ours": {1.0: 0.3, 4.0: 0.1}, "other": {1.0: 0.2}}, "t"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_each_figure_is_drawn_and_repeatable(name):
    first = PICTURES[name]()
    pixels = matplotlib.image.imread(io.BytesIO(first), format="png")[..., :3]
    assert min(pixels.shape[:2]) > 150 and pixels.std() > 0.03
    assert first == PICTURES[name]()


def test_det_shows_each_encoder():
    one = matplotlib.image.imread(io.BytesIO(figures.det({"ours": SCORED}, "t")), format="png")
    two = matplotlib.image.imread(io.BytesIO(figures.det({"ours": SCORED, "b": PERFECT}, "t")), format="png")
    assert one.shape != two.shape or not np.array_equal(one, two)
