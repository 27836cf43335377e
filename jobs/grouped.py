"""Training on the groups of the likeliest partition into vocalists (`train.views.same_singer: group`), in rounds.

The initial encoder groups the tracks. Each group counts as a singer, so a pair of crops can come from two songs, and
not only from one recording. The trained encoder then groups the tracks again, and training starts again from the
initial encoder, with the new groups. This is repeated as long as a test without labels says that the encoder gets
better, at most `train.rounds` times. Every other clip of a track is grouped and trained on; the clips in between, and
the tracks that are too short to be grouped, are tested on.

Thienpondt, Desplanques, Demuynck: "The IDLab VoxCeleb Speaker Recognition Challenge 2020 system description". Cai,
Wang, Li: "An iterative framework for self-supervised deep speaker representation learning" (ICASSP 2021).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import ray.train

from encoder.model import Encoder
from encoder.training.config import TrainConfig
from encoder.training.state import finished
from jobs import engine, frames
from jobs.fitting import fit_on_ray
from jobs.frames import Heard
from jobs.teaching import sole_credits
from pipeline.scoring import learned, teaching, voices, witness
from pipeline.scoring.backend import Backend, within_matrix
from pipeline.scoring.teaching import Grouping, Lesson
from pipeline.sections import fingerprint
from pipeline.store.workspace import Workspace


class Round(NamedTuple):
    """The result of a round.

    Attributes:
        number: of the round, from 1.
        lesson: the new encoder's back-end, and whether the test says that it is better.
        heard: the catalogue's voices by the new encoder.
        checkpoint: of the training; None if there were too few groups to train on.
    """

    number: int
    lesson: Lesson
    heard: Heard
    checkpoint: ray.train.Checkpoint | None

    @property
    def measured(self) -> dict[str, object]:
        """The results for the encoder's card and metrics.json."""
        return {**self.lesson.measured, "round": self.number}


def learn(
    run: engine.Run, train: TrainConfig, name: str, start: Encoder, shards: Sequence[str]
) -> tuple[Round | None, str]:
    """Train in rounds as long as the test says that the encoder gets better.

    Args:
        run: with the workspace, and for progress lines.
        train: settings.
        name: of the training.
        start: the encoder that training starts from.
        shards: of clips, or of their frames.

    Returns:
        The best round, or None if none is better than the start; and the reason.
    """
    heard = frames.hear(run.workspace, shards, start)
    credit = sole_credits(run.workspace, heard.voices) if train.use_credits else None
    best, why = None, ""
    for found in rounds(run, train, name, start.encoder_id, heard, shards, credit):
        run.say(f"round {found.number}: {found.lesson.why}")
        if not found.lesson.better or (best and found.lesson.errors.after >= best.lesson.errors.after):
            return best, why or found.lesson.why
        best, why = found, found.lesson.why
    return best, why


def rounds(
    run: engine.Run,
    train: TrainConfig,
    name: str,
    encoder_id: str,
    before: Heard,
    shards: Sequence[str],
    credit: np.ndarray | None,
    grouping: Grouping = witness.likeliest,
) -> Iterator[Round]:
    """Yield the rounds, whatever their results are, until the groups no longer change.

    Args:
        run: with the workspace, and for progress lines.
        train: settings, with the number of rounds.
        name: of the training.
        encoder_id: of the initial encoder.
        before: the catalogue's voices by the initial encoder.
        shards: of clips, or of their frames.
        credit: (n,) the person that each track credits, "" for none or several; None to use only voices.
        grouping: how the tracks are grouped.
    """
    backend = brought(run.workspace, encoder_id, before)
    heard, scored, trained_on = before, backend, np.zeros(0, int)
    for number in range(1, train.rounds + 1):
        whose, several = learned.pseudo_singers(heard.voices, heard.teaching, scored, credit, grouping)
        if several < teaching.FEWEST:
            yield Round(number, Lesson(scored, False, teaching.too_little(several)), heard, None)
            return
        if np.array_equal(whose, trained_on):
            run.say(f"round {number}: the groups are the same as before")
            return
        trained_on = whose
        run.say(f"round {number}: {several} vocalists with several tracks")
        teaches = whose >= 0
        ids, singers = heard.voices.track_ids[teaches].tolist(), whose[teaches].astype(str).tolist()
        names = dict(zip(ids, singers, strict=True))
        checkpoint = fit_on_ray(train, f"{name}-{number}-{fingerprint(names)}", run, shards, names)
        with checkpoint.as_directory() as folder:
            heard = frames.hear(run.workspace, shards, finished(folder)[0])
        testing = before.testing, heard.testing
        lesson = learned.judged(before.voices, backend, heard.voices, heard.clips, testing, several, train.seed)
        scored = lesson.backend
        yield Round(number, lesson, heard, checkpoint)


def brought(workspace: Workspace, encoder_id: str, heard: Heard) -> Backend:
    """Return an encoder's own back-end, or one made from the catalogue's voices if it has none."""
    if voices.is_calibrated(workspace, encoder_id):
        return voices.backend(workspace, encoder_id, heard.voices.means.shape[1])
    return Backend(heard.voices.means.mean(0), within_matrix(heard.clips.squares), encoder_id=encoder_id)
