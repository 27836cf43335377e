"""What a network can learn from a catalogue without labels, and whether it has learned it.

The groups of the catalogue's likeliest partition into vocalists stand for singers. Short tracks do not teach: they are
too uncertain to be grouped, and as singers of their own they would be pushed away from the rest of their singer's
tracks. Of the others, only every other clip teaches, and is grouped. Short tracks and the clips in between test the new
encoder (`pipeline.scoring.witness`).

The new encoder's back-end is the old one, normalised by how the new encoder's clips differ within a track, with numbers
that follow from how cosines have changed.
"""

from dataclasses import replace

import numpy as np

from pipeline.scoring.adapted import adapted_numbers, as_long, normalisation
from pipeline.scoring.backend import Backend
from pipeline.scoring.centre import centred
from pipeline.scoring.scatter import Scatter
from pipeline.scoring.teaching import CLIPS, LEAST_S, Grouping, Lesson, lesson_of, of_several, teachers, with_credits
from pipeline.scoring.voices import Voices
from pipeline.scoring.witness import likeliest, tested, witnesses


def pseudo_singers(
    voices: Voices,
    half: Voices,
    backend: Backend,
    credit: np.ndarray | None = None,
    grouping: Grouping = likeliest,
) -> tuple[np.ndarray, int]:
    """Return each track's singer for training (n,), as the row of the singer's first track, and how many have several.

    A track with too little singing to learn from has none, -1.

    Args:
        voices: of the catalogue.
        half: the same tracks, in the clips that teach.
        backend: to score with.
        credit: (n,) the person that each track credits, "" for none or several; None to use only voices.
        grouping: how the tracks are grouped.
    """
    here = centred(voices, backend)
    rows = np.flatnonzero(voices.seconds >= LEAST_S)
    evidence = here.evidence(half.means[rows], half.seconds[rows])
    group = grouping(evidence, here)
    if credit is not None:
        group = with_credits(group, credit[rows], evidence, here)
    _, first, at = np.unique(group, return_index=True, return_inverse=True)
    whose = np.full(len(voices), -1)
    whose[rows] = rows[first[at]]
    return whose, of_several(group)


def judged(
    before: Voices,
    backend: Backend,
    after: Voices,
    clips: Scatter,
    tested_in: tuple[Voices, Voices],
    groups: int,
    seed: int = 0,
) -> Lesson:
    """Return what a network has learned: its back-end, and whether it separates the catalogue's voices better.

    Args:
        before: the catalogue's voices by the encoder that training started from.
        backend: to score them with.
        after: the same tracks by the new encoder.
        clips: scatter of the new encoder's clips around their tracks' means.
        tested_in: the same tracks in the clips in between, by the old encoder and by the new one.
        groups: number of groups of several tracks that it has learned from.
        seed: of the random sample of a large catalogue.
    """
    here, rows = centred(before, backend), teachers(before, backend, seed)
    old, new = before.means[rows].astype(float), after.means[rows].astype(float)
    mean = backend.mean + after.means.mean(0) - before.means.mean(0)
    own = replace(backend, mean=mean, matrix=normalisation(backend.matrix, (clips, CLIPS)))
    own = as_long(backend, old, own, new)
    there = centred(after, own)
    witness = likeliest(here.evidence(old, before.seconds[rows]), here)
    taught = replace(own, numbers=adapted_numbers(here, old, there, new, witness))
    old_untaught, new_untaught = untaught(before, tested_in[0]), untaught(after, tested_in[1])
    rows = witnesses(old_untaught, here, rows, seed)
    errors = tested(here, old_untaught[rows], before.seconds[rows] >= LEAST_S, there, new_untaught.means[rows])
    return lesson_of(taught, errors, clips, Scatter(clips.squares, 0), groups)


def untaught(voices: Voices, between: Voices) -> Voices:
    """Return tracks in the clips that did not teach: those in between, or all of a track that is too short to teach."""
    teaches = voices.seconds >= LEAST_S
    means = np.where(teaches[:, None], between.means, voices.means)
    return Voices(voices.track_ids, means, np.where(teaches, between.seconds, voices.seconds))
