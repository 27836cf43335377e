"""What a network may learn from a catalogue without labels, and whether it has learned it.

Groups of tracks that surely share a vocalist are taken for singers. They are joins of high probability on the path to
the catalogue's likeliest partition, so that they hold at any size of the catalogue; what is not so sure stays apart.

The test of the new encoder is that of `pipeline.scoring.teaching`: the likeliest partition by the encoder before must
be told apart with a lower equal-error rate. The new encoder's back-end is the one before, normalised by how its own
clips differ within a track, with numbers that follow how cosines have moved.
"""

from dataclasses import replace

import numpy as np

from pipeline.scoring.backend import Backend
from pipeline.scoring.centre import centred
from pipeline.scoring.groups import agglomerate
from pipeline.scoring.scatter import Scatter
from pipeline.scoring.teaching import (
    CLIPS,
    LEAST_S,
    Lesson,
    as_long,
    disagreement,
    lesson_of,
    look_alikes,
    moved,
    normalisation,
    of_several,
    with_credits,
)
from pipeline.scoring.voices import Voices

PURITY = 0.95  # probability from which tracks join a group


def pseudo_singers(voices: Voices, backend: Backend, credit: np.ndarray | None = None) -> tuple[np.ndarray, int]:
    """Return whom a network may take each track's singer for (n,), and how many of these have several tracks.

    Args:
        voices: of the catalogue. backend: by which they are scored.
        credit: (n,) whom each track credits, "" for nobody or several; None to go by voices alone.
    """
    here = centred(voices, backend)
    rows = np.flatnonzero(voices.seconds >= LEAST_S)
    evidence = here.evidence(voices.means[rows], voices.seconds[rows])
    group = agglomerate(evidence, here, PURITY).group
    if credit is not None:
        group = with_credits(group, credit[rows], evidence, here)
    whose = np.arange(len(voices)) + 2 * len(voices)  # beyond all groups: a track of little singing stands alone
    whose[rows] = group
    return np.unique(whose, return_inverse=True)[1], of_several(group)


def judged(before: Voices, backend: Backend, after: Voices, clips: Scatter, groups: int, seed: int = 0) -> Lesson:
    """Return what a network has learned: its back-end, and whether it tells the catalogue's voices better apart.

    Args:
        before: the catalogue's voices by the encoder that training started from. backend: by which they are scored.
        after: by the new encoder, the same tracks. clips: how its clips lie around their tracks' means.
        groups: from how many groups of several tracks it has learned.
        seed: of the draw where there are more tracks than testify.
    """
    here = centred(before, backend)
    evidence = here.evidence(before.means, before.seconds)
    rows = np.flatnonzero(before.seconds >= LEAST_S)
    rows = rows[look_alikes(evidence[rows], np.random.default_rng(seed))]
    witness = agglomerate(evidence[rows], here).group
    old, new = before.means[rows].astype(float), after.means[rows].astype(float)
    mean = backend.mean + after.means.mean(0) - before.means.mean(0)
    own = replace(backend, mean=mean, matrix=normalisation(backend.matrix, (clips, CLIPS)))
    own = as_long(backend, old, own, new)
    there = centred(after, own)
    taught = replace(own, numbers=moved(here, old, there, new, witness))
    errors = disagreement(here, old, witness), disagreement(there, new, witness)
    return lesson_of(taught, errors, clips.degrees, 0, groups)
