"""How similar strangers are, by the direction of a voice: in some directions there are more voices than in others.

The cosines of one voice with all strangers vary the more, the closer it lies to the directions in which voices vary
most. Their variance, relative to that of a usual voice, follows from the second moment of the directions of the
catalogue's distinct voices. A cosine that is far above what strangers of a usual voice reach may be an ordinary one in
a crowded direction, and the mean of several strangers' vectors lies in an even more crowded one; without this, the
tracks of thousands of strangers became one group in a catalogue of a million.

This is score normalisation by the statistics of impostors (Z-norm), with their variance computed instead of sampled.

Auckenthaler, Carey, Lloyd-Thomas, "Score normalization for text-independent speaker verification systems" (Digital
Signal Processing 10, 2000).
"""

from dataclasses import dataclass

import numpy as np

SHRINK = 300.0  # distinct voices at which half of the moment is the catalogue's, and half that of even directions
BLOCK = 65_536


@dataclass(frozen=True)
class Strangers:
    """The strangers of a catalogue.

    Attributes:
        moment: (d, d) second moment of their directions; u' moment u is the variance of their cosines with a unit
            vector u, relative to the mean over all voices.
    """

    moment: np.ndarray

    @classmethod
    def of(cls, directions: np.ndarray, group: np.ndarray) -> "Strangers":
        """Estimate the strangers from a sample of voices.

        Args:
            directions: (n, d) unit vectors of tracks.
            group: (n,) 0, 1, ... the vocalist of each, who counts once.
        """
        n_tracks = np.bincount(group)
        n, dim = len(n_tracks), directions.shape[1]
        moment = directions.T @ (directions / n_tracks[group, None]) / n
        share = n / (n + SHRINK)
        return cls((1 - share) * np.eye(dim) + share * moment / np.maximum((moment**2).sum(), 1e-12))

    def variance(self, vectors: np.ndarray) -> np.ndarray:
        """Return the relative variance (n,) of strangers' cosines with vectors (n, d); 1 with one of no length."""
        moment, found = self.moment.astype(vectors.dtype), np.empty(len(vectors), np.float32)
        for start in range(0, len(vectors), BLOCK):
            part = vectors[start : start + BLOCK]
            length = np.einsum("nd,nd->n", part, part)
            turned = np.einsum("nd,nd->n", part @ moment, part)
            found[start : start + BLOCK] = np.where(length > 0, turned / np.where(length > 0, length, 1.0), 1.0)
        return found


def change(cosine: np.ndarray, variance: np.ndarray, slope: float) -> np.ndarray:
    """Return by how much log-likelihood ratios (...) change if strangers' cosines vary more or less than usual.

    It is the log-ratio of two Gaussians around 0: that of strangers as usual, and that of these strangers.

    Args:
        cosine: (...) of both sides.
        variance: (...) relative to the usual one.
        slope: of the ratios, which is one over the usual variance.
    """
    return np.log(variance) / 2 - slope * cosine**2 * (1 - 1 / variance) / 2
