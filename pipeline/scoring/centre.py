"""Where the middle of all voices lies: what the encoder brought, moved by what a catalogue tells of it.

Recordings of one kind lean to one side, whoever sings: the separator, the room and the genre do that. Centring on the
catalogue takes it away, and in the folder of a single singer takes the singer away. So the centre is moved as far as
the catalogue holds distinct voices, each counted once however many tracks it has, by James and Stein's estimate of a
mean.
"""

from dataclasses import replace

import numpy as np

from pipeline.scoring.backend import Backend
from pipeline.scoring.groups import agglomerate
from pipeline.scoring.voices import Voices

SAMPLE = 2000  # voices that tell the centre of a large catalogue
ROUNDS = 5
CLEAR = 2.0  # gain a track, from which groups seen from the catalogue's own mean are voices and not songs of one
MANY = 0.8  # scatter, in that of single voices, from which tracks are by many singers; one singer's have 0.2 to 0.6
SURE, CAUTION = 2.0, 3.5  # how many times farther than chance the mean must lie where they do, and where they do not


def centred(voices: Voices, backend: Backend) -> Backend:
    """Return the back-end with its centre moved towards the mean of the catalogue's distinct voices.

    How many there are is seen from the catalogue's own mean, where groups stand out clearly from there, or where tracks
    lie as far apart as those of many singers do: in one singer's folder neither is so. Otherwise it is seen from the
    encoder's centre, which moves by what is found until nothing more is.
    """
    if not len(voices):
        return backend
    rows = np.random.default_rng(0).permutation(len(voices))[:SAMPLE]
    means, seconds = voices.means[rows], voices.seconds[rows]
    inside = replace(backend, mean=means.mean(0))
    found = agglomerate(inside.evidence(means, seconds), inside)
    if found.gain > CLEAR * len(means):
        return moved(backend, means, found.group, SURE)
    scatter = (((means - inside.mean) @ backend.matrix) ** 2).sum() / max(len(means) - 1, 1)
    if scatter > MANY * backend.spread:
        return moved(backend, means, found.group, CAUTION)
    here, before = backend, 0
    for _ in range(ROUNDS):
        found = agglomerate(here.evidence(means, seconds), here)
        if found.n_voices <= before:
            break
        here, before = moved(backend, means, found.group, CAUTION), found.n_voices
    return here


def moved(backend: Backend, means: np.ndarray, group: np.ndarray, caution: float) -> Backend:
    """Return the back-end with its centre moved towards the mean of groups.

    Args:
        means: (n, d) of tracks. group: (n,) of each, 0, 1, ...; a track alone is a group.
        caution: how many times farther than chance would put it the mean must lie to be believed at all.
    """
    count = np.bincount(group)
    sums = np.zeros((len(count), means.shape[1]))
    np.add.at(sums, group, means)
    own = (sums / count[:, None]).mean(0)
    distance = float((((own - backend.mean) @ backend.matrix) ** 2).sum())
    share = max(0.0, 1.0 - caution * backend.spread / max(len(count) * distance, 1e-12))
    return replace(backend, mean=(1 - share) * backend.mean + share * own)
