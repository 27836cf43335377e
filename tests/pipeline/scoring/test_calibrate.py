import numpy as np
import pytest
from scipy.special import expit, logit

from pipeline.scoring import calibrate
from pipeline.scoring.calibrate import fit
from pipeline.scoring.labelled import Clips, recordings
from pipeline.scoring.metrics import NotMeasurable
from pipeline.scoring.scores import reliability


def clips(seed: int = 0, singers: int = 16, songs: int = 4, per_song: int = 8, dim: int = 48) -> Clips:
    """Return clips of singers whose songs vary, and whose clips vary within a song."""
    rng = np.random.default_rng(seed)
    singer = np.repeat(np.arange(singers), songs)
    track = np.repeat(np.arange(len(singer)), per_song)
    song = rng.normal(size=(singers, dim))[singer] + 0.9 * rng.normal(size=(len(singer), dim))
    vectors = song[track] + 1.5 * rng.normal(size=(len(track), dim)) + 1.0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Clips(vectors, np.full(len(track), 5.0), track, np.array([f"s{i}" for i in singer], object))


def test_ratios_are_calibrated_on_singers_that_were_not_fitted_on():
    backend = fit([clips(seed=1)], "e")
    heard = recordings(clips(seed=2), np.random.default_rng(0))
    found = calibrate.trials(backend.evidence(heard.means, heard.seconds), heard, np.random.default_rng(0))
    stated = expit(calibrate.ratio(found, backend.numbers) + logit(0.3))
    assert reliability(stated, found.target, prior=0.3).ece < 0.06
    assert backend.encoder_id == "e"
    np.testing.assert_allclose(backend.mean, backend.mean.mean(), atol=0.06)


def test_sets_of_tracks_show_how_far_a_singer_is_from_the_expected_similarity():
    backend = fit([clips(seed=1)], "e")
    heard = recordings(clips(seed=2), np.random.default_rng(0))
    found = calibrate.trials(backend.evidence(heard.means, heard.seconds), heard, np.random.default_rng(0))
    sets = ((found.left_s > 0).sum(1) > 1) | ((found.right_s > 0).sum(1) > 1)
    np.testing.assert_array_equal(np.isfinite(found.apart), sets)
    assert calibrate.looseness(found, backend.numbers) == pytest.approx(backend.numbers.loose, rel=0.5)
    assert np.nanmean(found.apart[~found.target]) < np.nanmean(found.apart[found.target]) - 0.3


def test_pieces_are_shorter_and_of_the_same_song():
    given = clips(singers=3)
    found = recordings(given, np.random.default_rng(0))
    whole = len(given.singer)
    assert (found.seconds[:whole] == 40).all()
    assert set(found.seconds[whole:]) == {10, 25}
    assert (found.singer[whole:] == given.singer[found.song[whole:]]).all()


def test_trials_never_share_a_song():
    heard = recordings(clips(singers=4), np.random.default_rng(0))
    backend = fit([clips(singers=4)], "e")
    found = calibrate.trials(backend.evidence(heard.means, heard.seconds), heard, np.random.default_rng(0))
    assert found.cosine.max() < 0.99, "a piece of an enrolled song would be nearly the same vector"
    weight = calibrate.weights(found.target, found.singer)
    assert weight.sum() == pytest.approx(1)
    assert weight[found.target].sum() == pytest.approx(calibrate.PRIOR)


def test_singers_of_one_song_each_cannot_be_fitted_on():
    with pytest.raises(NotMeasurable, match="two singers"):
        fit([clips(songs=1)], "e")


def test_vectors_that_do_not_tell_singers_apart_are_refused(simulate):
    vectors, _ = simulate([1] * 20)
    opposite = Clips(
        np.concatenate([vectors, -vectors]),
        np.full(40, 5.0),
        np.arange(40),
        np.array([f"s{i % 20}" for i in range(40)], object),
    )
    with pytest.raises(NotMeasurable, match="no more similar"):
        fit([opposite], "e")


def test_singers_of_one_song_have_a_fixed_share_of_the_non_target_trials():
    target = np.array([True, False, False, False, False])
    singer = np.array(["a", "a", "b", "b", "c"], object)
    np.testing.assert_allclose(
        calibrate.weights(target, singer),
        np.array([calibrate.PRIOR, *(1 - calibrate.PRIOR) * np.array([0.8, 0.05, 0.05, 0.1])]),
    )


def test_parts_have_different_singers_and_a_space_fitted_on_the_others():
    given = clips(singers=9)
    parts = calibrate.folded([given], 0)
    names = [set(part.singer) for part, _ in parts]
    assert len(parts) == 4
    assert sum(map(len, names)) == len(set().union(*names)) == 9
    rest = given.part(~np.isin(given.singer, list(names[0])))
    np.testing.assert_allclose(parts[0][1], calibrate.space([rest]))


def test_a_few_singers_are_a_single_part():
    given = clips(singers=3)
    ((part, space),) = calibrate.folded([given], 0)
    assert part is given
    np.testing.assert_allclose(space, calibrate.space([given]))
