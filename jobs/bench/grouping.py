"""Compare methods of grouping voices: that of `cluster`, and others that were tried."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.stats import norm

from pipeline.scoring import calibrate, metrics
from pipeline.scoring.backend import Backend, Numbers
from pipeline.scoring.centre import centred
from pipeline.scoring.evidence import Evidence
from pipeline.scoring.groups import agglomerate, among, membership
from pipeline.scoring.labelled import Recordings
from pipeline.scoring.voices import Voices

DIM = 192
RATES = (0.03, 0.08, 0.15)
SIZES = {
    "20,000 voices, many alone": [1] * 8000 + [2] * 2000 + [4] * 1000 + [10] * 400,
    "2,000 voices, many alone": [1] * 800 + [2] * 200 + [4] * 100 + [10] * 40,
    "600 voices, 2 to 6 each": list(range(2, 7)) * 30,
    "10 singers of 100": [100] * 10,
    "10 singers of 6": [6] * 10,
    "two singers": [6, 6],
    "one singer": [12],
}


def cluster(evidence: Evidence, backend: Backend) -> np.ndarray:
    """Return the groups of the cluster stage."""
    return agglomerate(evidence, among(evidence, backend)).group


def average(threshold: float) -> Callable[[Evidence, Backend], np.ndarray]:
    """Return the groups of average linkage on the cosines, cut at a distance chosen by hand."""

    def group(evidence: Evidence, backend: Backend) -> np.ndarray:
        apart = np.clip(1 - evidence.direction @ evidence.direction.T, 0, 2)
        np.fill_diagonal(apart, 0)
        tree = linkage(squareform(apart, checks=False), "average")
        return fcluster(tree, threshold, "distance")

    return group


def average_ratios(evidence: Evidence, backend: Backend) -> np.ndarray:
    """Return the groups of average linkage on log-likelihood ratios, cut at the log of their number."""
    ratios = backend.table(evidence, evidence)
    apart = ratios.max() - ratios
    np.fill_diagonal(apart, 0)
    tree = linkage(squareform((apart + apart.T) / 2, checks=False), "average")
    count = len(evidence)
    while (found := fcluster(tree, max(ratios.max() - np.log(count), 0.0), "distance")).max() < count:
        count = int(found.max())
    return found


def leaf(evidence: Evidence, backend: Backend) -> np.ndarray:
    """Return the groups of HDBSCAN on the cosines, leaves, epsilon 0.4."""
    import hdbscan

    apart = np.clip(1 - evidence.direction @ evidence.direction.T, 0, 2).astype(float)
    return hdbscan.HDBSCAN(
        min_cluster_size=2,
        min_samples=1,
        cluster_selection_method="leaf",
        metric="precomputed",
        cluster_selection_epsilon=0.4,
    ).fit_predict(apart)


def by_umap(evidence: Evidence, backend: Backend) -> np.ndarray:
    """Return the groups of HDBSCAN after UMAP to 16 dimensions."""
    import hdbscan
    import umap

    n = len(evidence)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        place = umap.UMAP(
            n_neighbors=min(15, max(5, int(np.sqrt(n))), n - 1),
            n_components=max(2, min(16, n - 3)),
            min_dist=0.0,
            metric="cosine",
            random_state=0,
            n_jobs=1,
        ).fit_transform(evidence.direction)
    return hdbscan.HDBSCAN(min_cluster_size=2, min_samples=2).fit_predict(place.astype(float))


def whispers(evidence: Evidence, backend: Backend) -> np.ndarray:
    """Return the groups of Chinese whispers on pairs that likely share a voice, at prior odds of 1 to the tracks."""
    ratios = backend.table(evidence, evidence) - np.log(len(evidence))
    weight = np.where(ratios > 0, ratios, 0.0)
    np.fill_diagonal(weight, 0)
    labels, rng = np.arange(len(evidence)), np.random.default_rng(0)
    for _ in range(20):
        for i in rng.permutation(len(labels)):
            if weight[i].any():
                labels[i] = np.bincount(labels, weight[i], minlength=len(labels)).argmax()
    return labels


METHODS: dict[str, Callable[[Evidence, Backend], np.ndarray]] = {
    "**likeliest partition (ours)**": cluster,
    "average linkage, cosine 0.5": average(0.5),
    "average linkage, cosine 0.35": average(0.65),
    "average linkage on ratios": average_ratios,
    "HDBSCAN `leaf`, epsilon 0.4": leaf,
    "UMAP, HDBSCAN": by_umap,
    "Chinese whispers": whispers,
    "every track alone": lambda evidence, backend: np.arange(len(evidence)),
}


def compare(catalogues: Sequence[tuple[str, Voices, np.ndarray, Backend]]) -> None:
    """Print B-cubed precision, recall and F1 of all methods, averaged over the catalogues of the same name."""
    names = list(dict.fromkeys(name for name, *_ in catalogues))
    print("\n| groups, B-cubed | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    moved = [(name, singer, centred(voices, backend), voices) for name, voices, singer, backend in catalogues]
    for title, method in METHODS.items():
        found: dict[str, list[list[float]]] = {}
        for name, singer, backend, voices in moved:
            groups = method(backend.evidence(voices.means, voices.seconds), backend)
            found.setdefault(name, []).append(list(vars(metrics.bcubed(singer, groups)).values()))
        cells = [" / ".join(f"{value:.2f}" for value in np.mean(found[name], axis=0)) for name in names]
        print(f"| {title} | " + " | ".join(cells) + " |", flush=True)


def simulated() -> None:
    """Print how well simulated catalogues are grouped."""
    print(
        "\n| simulated, B-cubed | "
        + " | ".join(f"{rate:.0%} equal-error rate" for rate in RATES)
        + " |\n|---|"
        + "---|" * len(RATES)
    )
    for title, sizes in SIZES.items():
        cells = []
        for rate in RATES:
            rng = np.random.default_rng(0)
            backend = simulated_backend(rate, rng)
            vectors, who = simulate(sizes, rate, rng)
            evidence = backend.evidence(vectors, np.full(len(who), 60.0))
            backend = among(evidence, backend)
            groups, n_voices, _ = agglomerate(evidence, backend)
            several = np.bincount(groups)[groups] > 1
            sure = membership(evidence, groups, backend, n_voices)[several]
            found = metrics.bcubed(who, groups)
            cells.append(
                f"{found.precision:.2f} / {found.recall:.2f} / {found.f1:.2f}, {sure.mean():.0%} sure"
                if several.any()
                else "all alone"
            )
        print(f"| {title} | " + " | ".join(cells) + " |", flush=True)


def simulate(sizes: Sequence[int], rate: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors (n, DIM) of singers with `sizes` tracks at an equal-error rate, and who sings each (n,).

    Voices vary more in some directions than in others, so that strangers' cosines have about the real distribution.
    """
    scale = (np.arange(DIM) + 5.0) ** -0.6
    scale /= np.sqrt((scale**2).mean())
    cosine_std = np.sqrt((scale**4).sum()) / (scale**2).sum()
    expected = -2 * norm.ppf(rate) * cosine_std / 1.08  # of two tracks of one singer
    who = np.repeat(np.arange(len(sizes)), sizes)
    voices, songs = rng.normal(size=(len(sizes), DIM))[who], rng.normal(size=(len(who), DIM))
    rows = (voices + np.sqrt(1 / expected - 1) * songs) * scale
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), who


def simulated_backend(rate: float, rng: np.random.Generator) -> Backend:
    """Return the back-end of 230 other simulated singers."""
    vectors, who = simulate([5] * 30 + [1] * 200, rate, rng)
    heard = Recordings(vectors, np.full(len(who), 60.0), who.astype(str).astype(object), np.arange(len(who)))
    backend = Backend(np.zeros(DIM), np.eye(DIM))
    found = calibrate.trials(backend.evidence(heard.means, heard.seconds), heard, rng)
    return Backend(backend.mean, backend.matrix, calibrate.fit_numbers(found, Numbers()))
