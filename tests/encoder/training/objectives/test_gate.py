"""The loss gate agrees with scikit-learn's mixture of normal distributions."""

import numpy as np
import torch
from sklearn.mixture import GaussianMixture

from encoder.training.objectives import gate


def losses(right: int, wrong: int) -> torch.Tensor:
    """Return losses of right labels, and then of wrong ones."""
    rng = np.random.default_rng(0)
    logs = np.concatenate([rng.normal(-2.0, 0.6, right), rng.normal(1.5, 0.3, wrong)])
    return torch.from_numpy(np.exp(logs)).float()


def test_it_splits_losses_as_a_mixture_of_two_normal_distributions_does() -> None:
    found = losses(900, 100)
    share, mean, deviation = gate.two_normals(found.double().log())
    logs = found.double().log().numpy()[:, None]
    starts = np.quantile(logs, gate.PLACES)[:, None]
    theirs = GaussianMixture(2, weights_init=gate.SHARES, means_init=starts, tol=1e-9, max_iter=200).fit(logs)
    np.testing.assert_allclose(mean, theirs.means_[:, 0], atol=0.01)
    np.testing.assert_allclose(share, theirs.weights_, atol=0.01)
    np.testing.assert_allclose(deviation, np.sqrt(theirs.covariances_[:, 0, 0]), atol=0.01)
    passed = gate.likely(found, found).numpy()
    high = theirs.means_.argmax()
    expected = (theirs.predict(logs) != high) | (logs[:, 0] < theirs.means_.min())
    assert (passed == expected).mean() > 0.995
    assert passed[:900].mean() > 0.99
    assert passed[900:].mean() < 0.01


def test_zero_and_identical_losses_count_as_likely() -> None:
    found = losses(500, 50)
    assert gate.likely(torch.tensor([0.0, 1e-12]), found).all()
    assert gate.likely(torch.full((8,), 0.5), torch.full((600,), 0.5)).all()
