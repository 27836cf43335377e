import numpy as np

from pipeline.scoring.labelled import Clips, pool, recordings, singer_means


def clips() -> Clips:
    """Return two songs by ann, with 6 and 2 clips, and one by bob."""
    rng = np.random.default_rng(0)
    track = np.repeat([0, 1, 2], [6, 2, 3])
    return Clips(rng.normal(size=(11, 4)), rng.uniform(4, 10, 11), track, np.array(["ann", "ann", "bob"], object))


def test_a_track_is_the_mean_of_its_clips_weighted_by_length():
    found = clips()
    means, seconds, scatter = pool(found)
    for i in range(3):
        own = found.track == i
        np.testing.assert_allclose(means[i], np.average(found.vectors[own], axis=0, weights=found.seconds[own]))
        assert np.isclose(seconds[i], found.seconds[own].sum())
    apart = found.vectors - means[found.track]
    np.testing.assert_allclose(scatter, apart.T @ apart)
    np.testing.assert_allclose(singer_means(found), [means[:2].mean(0), means[2]])


def test_a_part_contains_whole_tracks():
    part = clips().part(np.array([True, False, True]))
    assert part.track.tolist() == [0] * 6 + [1] * 3
    assert part.singer.tolist() == ["ann", "bob"]


def test_tracks_of_singers_with_several_are_also_cut_into_pieces():
    found = recordings(clips(), np.random.default_rng(0))
    # Two pieces of two clips and one of five; the other songs are too short for any.
    assert found.song.tolist() == [0, 1, 2, 0, 0, 0]
    assert found.singer.tolist() == ["ann", "ann", "bob", "ann", "ann", "ann"]
    assert (found.seconds[3:] < found.seconds[0]).all()
