import numpy as np

from pipeline.report import content, review, voice_map
from pipeline.store.workspace import Workspace


def test_balanced_coordinates_keep_their_order():
    values = np.array([0.0, 1.0, 2.0, 100.0])
    placed = voice_map.balanced(values)
    assert (np.diff(placed) > 0).all()
    assert placed[0] == -0.5
    assert placed[2] > -0.3, "one far value does not press the others together"
    assert voice_map.balanced(np.ones(3)).tolist() == [0, 0, 0]


def test_tracks_to_review_are_on_a_small_map_too(filled: Workspace):
    tracks, asked = content.tracks(filled), review.read(filled)
    points, n = voice_map.points(filled, tracks, 5, np.random.default_rng(0), asked)
    assert (len(points), n) == (5, 24)
    start = points.set_index("track_id")["start_s"]
    assert start[asked["track_id"]].eq(2.0).all() and start.eq(1.0).sum() == 2
