"""How good the names are that `tag` gives: a catalogue is tagged with some vocalists known, and checked.

All tracks that are not known are counted: those by an enrolled vocalist should get that name, those by a stranger none.
Conventions are those of `pipeline.scoring.metrics`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.scoring import metrics
from pipeline.scoring.backend import Backend
from pipeline.scoring.centre import centred
from pipeline.scoring.metrics import NotMeasurable
from pipeline.scoring.voices import Clips, Voices
from pipeline.stages.tag import TagConfig, Tags, tag_voices

FALSE_ALARM = 0.01
BINS = 10
FULL = 30  # tracks that a bin of stated probabilities needs to be counted
NO_CREDITS = pd.DataFrame({"track_id": [], "key": [], "name": []}, dtype=object)


@dataclass(frozen=True)
class Asked:
    """The n tracks whose names are compared with the truth.

    Attributes:
        probability: (n,) of the likeliest name.
        right: (n,) whether that is the singer.
        named: (n,) whether the track was given that name.
        could: (n,) whether the right name could be given, since its singer is enrolled.
        singer: (n,) who sings.
    """

    probability: np.ndarray
    right: np.ndarray
    named: np.ndarray
    could: np.ndarray
    singer: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence["Asked"]) -> "Asked":
        """Return the tracks of several catalogues as one."""
        return cls(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("probability", "right", "named", "could", "singer")
            )
        )


def ask(
    voices: Voices,
    singer: np.ndarray,
    given: np.ndarray,
    clusters: pd.DataFrame,
    backend: Backend,
    config: TagConfig,
    clips: Clips,
    credits: pd.DataFrame = NO_CREDITS,
) -> tuple[Asked, Tags]:
    """Tag a catalogue whose tracks at `given` are known, and compare the names of the others with `singer (n,)`."""
    known = {voices.track_ids[i]: str(singer[i]) for i in given}
    tags = tag_voices(voices, centred(voices, backend), clusters, known, credits, config, clips.of(given))
    rows, asked = tags.rows, np.setdiff1d(np.arange(len(voices)), given)
    named = rows["source"].isin(["enrolled", "credited"]).to_numpy()
    first = tags.candidates[tags.candidates["rank"] == 1].set_index("track_id")
    name = np.where(named, rows["vocalist"], first["vocalist"].reindex(rows["track_id"]).to_numpy())
    likely = np.where(named, rows["probability"], first["probability"].reindex(rows["track_id"]).fillna(0.0).to_numpy())
    could = np.isin(singer, np.unique(singer[given]))
    return Asked(likely[asked], (name == singer)[asked], named[asked], could[asked], singer[asked]), tags


def measures(asked: Asked) -> dict[str, float]:
    """Return the measures of the names.

    `named_right`: the share of named tracks whose name is right. `named`: the share of enrolled singers' tracks that
    get the right name. `strangers_named`: the share of strangers' tracks that get a name. `ece` and `worst_bin` (of
    `FULL` tracks or more): how far stated probabilities are off. `dir_at_1pct_false_alarms`: detection and
    identification rate at 1 % false alarms.

    Raises:
        NotMeasurable: no singer, or every singer, is enrolled.
    """
    if not asked.could.any() or asked.could.all():
        raise NotMeasurable("open-set identification needs enrolled singers and singers who are not")
    mine, wrong = asked.could, asked.named & ~asked.right
    strangers = np.sort(asked.probability[~mine])[::-1]
    threshold = strangers[min(int(FALSE_ALARM * len(strangers) + 1e-9), len(strangers) - 1)]
    gaps = bins(asked.probability, asked.right)
    return {
        "named_right": float(asked.right[asked.named].mean()) if asked.named.any() else 1.0,
        "named": float((asked.named & asked.right)[mine].mean()),
        "strangers_named": float(wrong[~mine].mean()),
        "ece": float((gaps["n"] * (gaps["stated"] - gaps["right"]).abs()).sum() / gaps["n"].sum()),
        "worst_bin": float((gaps["stated"] - gaps["right"]).abs()[gaps["n"] >= FULL].max()),
        "dir_at_1pct_false_alarms": float((asked.right & (asked.probability > threshold))[mine].mean()),
    }


def bins(probability: np.ndarray, right: np.ndarray) -> pd.DataFrame:
    """Return for each tenth of stated probability that occurs: `n` tracks, mean `stated` probability, share `right`."""
    frame = pd.DataFrame(
        {
            "bin": np.minimum((probability * BINS).astype(int), BINS - 1),
            "stated": probability,
            "right": right.astype(float),
        }
    )
    return frame.groupby("bin").agg(n=("right", "size"), stated=("stated", "mean"), right=("right", "mean"))


def accused(tags: Tags, wrong: np.ndarray) -> dict[str, float]:
    """Return how well disagreements find the credits that are `wrong (n,)`.

    `precision` and `recall` are of the wrong credits; `accused` is the share of true credits that disagree.
    """
    said = tags.rows["disagrees"].to_numpy()
    return {
        "precision": float(wrong[said].mean()) if said.any() else 1.0,
        "recall": float(said[wrong].mean()) if wrong.any() else 1.0,
        "accused": float(said[~wrong].mean()),
    }


def grouped(singer: np.ndarray, clusters: pd.DataFrame) -> metrics.BCubed:
    """Return the B-cubed measures of clusters."""
    return metrics.bcubed(singer, clusters["cluster_id"].to_numpy())
