"""The centre of all voices: the encoder's own, moved towards that of the catalogue.

Recordings of one kind are shifted in one direction whoever sings, by the separator, the room and the genre. Centring on
the catalogue removes that shift, but in the folder of a single singer it would remove the singer. So the more distinct
voices a catalogue holds, the further the centre is moved (James and Stein's estimate of a mean); a voice counts once,
however many tracks it has.
"""

from dataclasses import replace

import numpy as np

from pipeline.scoring.backend import Backend
from pipeline.scoring.groups import agglomerate
from pipeline.scoring.voices import Voices

SAMPLE = 2000  # voices from which the centre of a large catalogue is estimated
ROUNDS = 5
CLEAR = 2.0  # gain per track from which groups around the catalogue's own mean are voices, and not songs of one singer
MANY = 0.8  # scatter, relative to `Backend.variance`, from which there are many singers; of one singer it is 0.2-0.6
SURE, CAUTION = 2.0, 3.5  # how far the mean must lie, relative to chance, if groups are clear and if they are not


def centred(voices: Voices, backend: Backend) -> Backend:
    """Return the back-end with its centre moved towards the mean of the catalogue's distinct voices.

    The number of voices is found around the catalogue's own mean if groups stand out clearly there, or if tracks lie as
    far apart as those of many singers; in one singer's folder, neither is the case. Otherwise it is found around the
    encoder's centre, which is moved by the result until no more voices are found.
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
    if scatter > MANY * backend.variance:
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
        backend: whose centre is moved.
        means: (n, d) of tracks.
        group: (n,) of each track, 0, 1, ...; a single track is a group.
        caution: how far the mean must lie from the centre, relative to chance, for the centre to move at all.
    """
    count = np.bincount(group)
    sums = np.zeros((len(count), means.shape[1]))
    np.add.at(sums, group, means)
    own = (sums / count[:, None]).mean(0)
    distance = float((((own - backend.mean) @ backend.matrix) ** 2).sum())
    share = max(0.0, 1.0 - caution * backend.variance / max(len(count) * distance, 1e-12))
    return replace(backend, mean=(1 - share) * backend.mean + share * own)
