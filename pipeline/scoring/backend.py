"""Scoring back-end: how strongly two recordings, or two sets of recordings, indicate the same voice.

A track's vector is centred, normalised by the covariance of clips within a track (which share a singer) and partly by
that of all singers, and brought to unit length. Its `reliability` depends on the amount of singing: it is the expected
squared correlation of the vector with its singer's true direction, `share * s / (s + settle_s)` for s seconds. Sets of
tracks combine like independent measurements (Spearman and Brown), with the precision r / (1 - r) as weight.

The score of two sides is a log-likelihood ratio: how many times more likely (natural log) their cosine is if they share
a singer than if they do not. With m = sqrt(r_left * r_right), the expected cosine of one singer's two sides,

    llr = slope * m * cosine - curve * m^2 + offset

which is what Gaussian scores of equal variance give, and spherical PLDA on unit vectors to first order. Its numbers are
fitted on labelled singers (`pipeline.scoring.calibrate`) and stored with the encoder.

Some singers' tracks are more similar to each other than other singers' are, and in some catalogues all singers' are.
More similarity is then expected of a further track: two sets that are less similar to each other than the tracks within
each of them are by two singers (`Numbers.missing`).

Sizov, Lee, Kinnunen: "Unifying probabilistic linear discriminant analysis variants" (S+SSPR 2014). Peng et al.:
"Unifying cosine and PLDA back-ends for speaker verification" (Interspeech 2022). Brummer and de Villiers, "The speaker
partitioning problem" (Odyssey 2010). Spearman, "Correlation calculated from faulty data" (1910).
"""

import json
from dataclasses import asdict, dataclass, replace

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import load, save

from pipeline.scoring.evidence import FAINT, Evidence, Sides, expected
from pipeline.scoring.scores import unit
from pipeline.scoring.strangers import Strangers, change

FILE = "calibration.safetensors"
BLOCK = 4096  # tracks at a time, so that they fit in a processor's cache
SHRINK = 0.4  # of the within-track covariance towards the identity
EVEN = 0.25  # power to which the singers' covariance is taken: 0 leaves it as it is, 0.5 whitens the singers
UNEVEN = 0.1  # part of `loose` that remains with any number of tracks
SINGERS = 300  # for which half of the singers' covariance is shrunk to the identity; for fewer, more of it is


@dataclass(frozen=True)
class Numbers:
    """The numbers of the log-likelihood ratio.

    The defaults are close to those of the shipped encoder; for an encoder without a calibration they are a guess.
    """

    share: float = 0.46  # squared correlation of unlimited singing in one song with its singer's direction
    settle_s: float = 6.1  # seconds of clips at which half of that is reached
    slope: float = 41.0
    curve: float = 32.0
    offset: float = 1.8
    loose: float = (
        0.03  # squared deviation of two sides of a singer from how alike the singer's tracks are, at m^2 = 1/2
    )

    def usual(self, cosine: np.ndarray, square: np.ndarray) -> np.ndarray:
        """Return the ratio (...) of sides whose tracks are as similar to each other as usual; `square` is m^2."""
        return self.slope * np.sqrt(square) * cosine - self.curve * square + self.offset

    def missing(self, alike: np.ndarray, expected: np.ndarray, square: np.ndarray) -> np.ndarray:
        """Return how much a ratio (...) decreases if sides are less similar than expected from their own tracks.

        It is the log-ratio of two Gaussians: around the usual similarity of a singer's tracks, 1, and around the
        expected one, if that is higher.

        Args:
            alike: (...) similarity of the sides.
            expected: (...) similarity that their own tracks suggest.
            square: (...) m^2 of the sides.
        """
        short = np.maximum((1.0 + expected) / 2.0 - alike, 0.0)
        return np.maximum(expected - 1.0, 0.0) * short / (self.loose * room(square))


@dataclass(frozen=True)
class Backend:
    """Centre `mean (d,)`, normalisation `matrix (d, d)` and the numbers of the score, for one encoder's vectors.

    `variance` is the mean squared distance of singers' means from the centre, normalised; infinite if it is unknown.
    `strangers` are those of one catalogue; if there are none, all voices have strangers as usual.
    """

    mean: np.ndarray
    matrix: np.ndarray
    numbers: Numbers = Numbers()
    encoder_id: str = ""
    variance: float = float("inf")
    strangers: Strangers | None = None

    def evidence(self, means: np.ndarray, seconds: np.ndarray, weights: np.ndarray | None = None) -> Evidence:
        """Return the evidence of tracks.

        Args:
            means: (n, d) mean of each track's clip vectors, not brought to unit length.
            seconds: (n,) total length of its clips.
            weights: (n,) of each track, 1 for an independent recording; 1 for all if not given.
        """
        normed = np.empty(means.shape, np.float32)
        for start in range(0, len(means), BLOCK):
            normed[start : start + BLOCK] = unit((means[start : start + BLOCK] - self.mean) @ self.matrix)
        share = self.numbers.share * seconds / (seconds + self.numbers.settle_s)
        precision = share / (1 - share) * (1.0 if weights is None else weights)
        normed *= (precision / np.sqrt(np.maximum(share, 1e-12)))[:, None].astype(np.float32)  # 0 s give no evidence
        return Evidence.of_tracks(normed, precision)

    def llr(self, cosine: np.ndarray, left: Sides, right: Sides) -> np.ndarray:
        """Return the log-likelihood ratio of cosines between sides, all broadcast."""
        square = left.reliability * right.reliability
        missing = self.numbers.missing(cosine * (left.length * right.length), expected(left, right), square)
        found = self.numbers.usual(cosine, square) - missing
        if self.strangers is None:
            return found
        return found + change(cosine, (left.variance + right.variance) / 2, self.numbers.slope)

    def sides(self, evidence: Evidence) -> Sides:
        """Return what comparisons with each row need to know of it."""
        sides = evidence.sides
        return sides if self.strangers is None else replace(sides, variance=self.strangers.variance(evidence.vector))

    def pairs(self, left: Evidence, right: Evidence) -> np.ndarray:
        """Return the log-likelihood ratios (n,) of row with row; -inf where nothing is known of a side."""
        cosine = np.einsum("nd,nd->n", left.direction, right.direction)
        return _blank(self.llr(cosine, self.sides(left), self.sides(right)), left.precision, right.precision)

    def table(self, left: Evidence, right: Evidence) -> np.ndarray:
        """Return the log-likelihood ratios (n, m) of all rows with all rows; -inf where nothing is known of a side."""
        cosine = left.direction @ right.direction.T
        found = self.llr(cosine, self.sides(left)[:, None], self.sides(right))
        return _blank(found, left.precision[:, None], right.precision)

    def to_bytes(self) -> bytes:
        """Return the back-end as a safetensors file; the numbers are JSON in its metadata."""
        about = json.dumps({"encoder_id": self.encoder_id, "spread": self.variance, **asdict(self.numbers)})
        return save(
            {"mean": self.mean.astype(np.float32), "matrix": self.matrix.astype(np.float32)}, {"vocatlas": about}
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Backend":
        """Return the back-end that `to_bytes` wrote.

        Raises:
            ValueError: these bytes are not a calibration.
        """
        try:
            deserialize(data)
            tensors, length = load(data), int.from_bytes(data[:8], "little")
            about = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["vocatlas"])
            return cls(
                tensors["mean"],
                tensors["matrix"],
                encoder_id=about.pop("encoder_id"),
                variance=about.pop("spread"),
                numbers=Numbers(**about),
            )
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"this is not a calibration: {error}") from error


def room(square: np.ndarray) -> np.ndarray:
    """Return how much sides (...) of one singer differ by chance, relative to m^2 = 1/2; `square` is m^2."""
    return 1.0 / np.maximum(square, FAINT) - 1.0 + UNEVEN


def _blank(scores: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.where((left > 1e-9) & (right > 1e-9), scores, -np.inf)


def within_matrix(scatter: np.ndarray) -> np.ndarray:
    """Return the matrix (d, d) that whitens a within-track covariance, after shrinking it towards the identity."""
    dim = len(scatter)
    return _power((1 - SHRINK) * scatter * dim / max(np.trace(scatter), 1e-12) + SHRINK * np.eye(dim), -0.5)


def between_matrix(singers: np.ndarray) -> np.ndarray:
    """Return the matrix (d, d) that distributes the unit vectors of singers (n, d) more evenly over all directions.

    Voices vary most along a few directions (sex, era, kind of recording), and strangers who agree in them have a high
    cosine. If the cosine gives these directions less weight, fewer strangers do.
    """
    n, dim = singers.shape
    shrink = SINGERS / (n + SINGERS)
    scatter = singers.T @ singers
    return _power((1 - shrink) * scatter * dim / max(np.trace(scatter), 1e-12) + shrink * np.eye(dim), -EVEN)


def _power(covariance: np.ndarray, exponent: float) -> np.ndarray:
    variance, axes = np.linalg.eigh(covariance)
    return (axes * np.maximum(variance, 1e-6) ** exponent) @ axes.T
