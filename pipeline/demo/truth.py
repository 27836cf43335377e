"""Compare a run with a known truth: which files were read, how tracks were grouped, and how they were named.

A truth is a CSV with `file` (relative to the CSV), `singer` (empty if nobody sings or it is unknown who does, "A+B" for
a duet) and `expected`: `vocalist`, `instrumental`, `silent`, `unreadable` or `duplicate`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from pipeline.scoring import metrics
from pipeline.sound import audio
from pipeline.stages import embed
from pipeline.store import tables
from pipeline.store.errors import ConfigError
from pipeline.store.workspace import Workspace


@dataclass(frozen=True)
class Comparison:
    """How well a run agrees with its truth; fractions are of the files or tracks that the truth names."""

    files: int
    as_expected: int
    singers: int
    tracks: int
    bcubed_f1: float
    ari: float
    named_accuracy: float
    named_tracks: int
    grouped_accuracy: float

    def lines(self) -> list[str]:
        """Return the comparison in words."""
        return [
            f"{self.as_expected} of {self.files} files ended as expected",
            f"clusters against {self.singers} singers on {self.tracks} tracks: "
            f"B-cubed F1 {self.bcubed_f1:.3f}, ARI {self.ari:.3f}",
            f"names from known voices: {self.named_accuracy:.1%} of {self.named_tracks} tracks right",
            f"all tags, each voice-… taken as its best-matching singer: {self.grouped_accuracy:.1%} right",
        ]


def read_truth(path: str | Path) -> pd.DataFrame:
    """Return a truth with the files' absolute paths as `uri`.

    Raises:
        ConfigError: the CSV cannot be read or lacks a column.
    """
    try:
        frame = pd.read_csv(path, keep_default_na=False)
    except OSError as error:
        raise ConfigError(f"cannot read the truth {path}: {error.strerror}") from error
    missing = {"file", "singer", "expected"} - set(frame.columns)
    if missing:
        raise ConfigError(f"the truth {path} lacks the column {', '.join(sorted(missing))}")
    folder = Path(path).absolute().parent
    return frame.assign(uri=[str(folder / name) for name in frame["file"]])


def outcomes(workspace: Workspace, truth: pd.DataFrame) -> pd.DataFrame:
    """Return the truth with what the run `found` for each file, its `track_id`, and the `message` if it failed."""
    files = tables.read(workspace, "files", ["uri", "track_id"]).drop_duplicates("uri", keep="last")
    tracks = tables.read(workspace, "tracks", ["track_id", "uri"]).rename(columns={"uri": "kept_uri"})
    vocals = tables.read(workspace, "vocals", ["track_id", "has_vocals"])
    failures = tables.read(workspace, "failures", ["stage", "track_id", "uri", "error", "message"])
    joined = (
        truth.merge(files, on="uri", how="left")
        .merge(tracks, on="track_id", how="left")
        .merge(vocals, on="track_id", how="left")
    )
    by_uri = failures[failures["stage"] == "scan"].drop_duplicates("uri").set_index("uri")
    by_track = failures[failures["stage"] == "separate"].drop_duplicates("track_id").set_index("track_id")
    found, messages = [], []
    for row in joined.itertuples():
        failure = (
            by_uri.loc[row.uri]
            if row.uri in by_uri.index
            else by_track.loc[row.track_id]
            if row.track_id in by_track.index
            else None
        )
        found.append(_found(row, failure))
        messages.append("" if failure is None else failure["message"])
    return joined.assign(found=found, message=messages)


def _found(row: Any, failure: pd.Series | None) -> str:
    if failure is not None:
        return "silent" if failure["error"] == "silent" else "unreadable"
    if pd.isna(row.track_id):
        return "not seen"
    if row.expected == "duplicate" and row.kept_uri != row.uri:
        return "duplicate"
    if pd.isna(row.has_vocals):
        return "not separated"
    return "vocalist" if row.has_vocals else "instrumental"


def compare(workspace: Workspace, truth: pd.DataFrame, known: set[str]) -> Comparison:
    """Score a finished run; `known` are the URIs of the known tracks, which do not count as named."""
    found = outcomes(workspace, truth)
    # Either file of a duplicate pair may be the track's own: exactly one of them must be.
    right = (found["found"] == found["expected"]) | (
        (found["found"] == "vocalist") & found.duplicated("track_id", keep=False)
    )
    solo = found[(found["singer"] != "") & ~found["singer"].str.contains("+", regex=False)]
    solo = (
        solo.drop_duplicates("track_id")
        .merge(tables.read(workspace, "clusters", ["track_id", "cluster_id"]), on="track_id")
        .merge(tables.read(workspace, "tags", ["track_id", "vocalist"]), on="track_id")
    )
    singers = solo["singer"].to_numpy()
    enrolled = set(solo.loc[solo["uri"].isin(known), "singer"])
    asked = solo[~solo["uri"].isin(known)]
    named = asked[asked["singer"].isin(enrolled)]
    return Comparison(
        files=len(found),
        as_expected=int(right.sum()),
        singers=len(set(singers)),
        tracks=len(solo),
        bcubed_f1=metrics.bcubed(singers, solo["cluster_id"].to_numpy()).f1 if len(solo) else float("nan"),
        ari=metrics.ari(singers, solo["cluster_id"].to_numpy()) if len(solo) else float("nan"),
        named_accuracy=float((named["vocalist"] == named["singer"]).mean()),
        named_tracks=len(named),
        grouped_accuracy=best_match_accuracy(asked["singer"], asked["vocalist"].fillna("")),
    )


def mistakes(workspace: Workspace, truth: pd.DataFrame) -> list[str]:
    """Return lines about the mistakes in a finished run's tags: wrong names, mixed voices, and artist tags misjudged.

    An artist tag is wrong if the truth's `artist_tag` is not its `singer`.
    """
    tags = tables.read(workspace, "tags", ["track_id", "vocalist", "source", "probability", "disagrees"])
    found = outcomes(workspace, truth).drop_duplicates("track_id").merge(tags, on="track_id")
    solo = found[found["singer"].ne("") & ~found["singer"].str.contains("+", regex=False)]
    return _wrong_names(found, solo) + _wrong_voices(solo) + _wrong_artist_tags(solo)


def _wrong_names(found: pd.DataFrame, solo: pd.DataFrame) -> list[str]:
    named = found[found["source"].isin(["enrolled", "credited"])]
    who = zip(named["vocalist"], named["singer"], strict=True)
    wrong = named[[name not in singer.split("+") for name, singer in who]]
    could = solo[solo["singer"].isin(named["vocalist"])]
    missed = could[~could["track_id"].isin(named["track_id"])]
    lines = [f"{len(wrong)} of {len(named)} named tracks have a wrong name"]
    lines += [f"  {row.file}: {row.vocalist}, {row.probability:.0%} sure" for row in wrong.itertuples()]
    lines.append(f"{len(missed)} of {len(could)} tracks by those vocalists have no name")
    return lines + [f"  {row.file}: {row.vocalist or 'no vocalist'}" for row in missed.itertuples()]


def _wrong_voices(solo: pd.DataFrame) -> list[str]:
    singers = solo[solo["source"] == "cluster"].groupby("vocalist")["singer"].unique()
    mixed = singers[singers.str.len() > 1]
    lines = [f"{len(mixed)} of {len(singers)} voice-… hold several singers"]
    return lines + [f"  {voice}: {', '.join(sorted(names))}" for voice, names in mixed.items()]


def _wrong_artist_tags(solo: pd.DataFrame) -> list[str]:
    planted, said = solo["artist_tag"].ne("") & (solo["artist_tag"] != solo["singer"]), solo["disagrees"]
    lines = [
        f"{int((planted & said).sum())} of {int(planted.sum())} wrong artist tags found, "
        f"{int((said & ~planted).sum())} right ones called wrong"
    ]
    lines += [
        f"  {row.file}: the tag {row.artist_tag} is wrong and was believed"
        for row in solo[planted & ~said].itertuples()
    ]
    return lines + [
        f"  {row.file}: the tag {row.artist_tag} is right and was called wrong"
        for row in solo[said & ~planted].itertuples()
    ]


def encoder_eer(workspace: Workspace, found: pd.DataFrame, model: Any) -> tuple[str, float]:
    """Return an encoder's id and its equal-error rate on pairs of a run's tracks, pooled over their clips.

    Args:
        workspace: of the run.
        found: what `outcomes` returned; only tracks with one known singer count.
        model: the encoder.
    """
    embedder = embed.Embedder(model, batch_s=160, bf16=True)
    singer_of = dict(zip(found["track_id"], found["singer"], strict=True))
    singers, voices = [], []
    for part in tables.iter_arrow(workspace, "clips"):
        vectors = embedder([audio.from_flac(data) for data in part["audio"].to_pylist()])
        clips = part.drop_columns(["audio", "sample_rate_hz"])
        for row in embed.pool(embed.with_vectors(clips, vectors, embedder.encoder_id)):
            singer = singer_of.get(row["track_id"], "")
            if singer and "+" not in singer:
                singers.append(singer)
                voices.append(row["embedding"])
    first, second = np.triu_indices(len(singers), 1)
    names, matrix = np.array(singers), np.array(voices)
    return embedder.encoder_id, metrics.eer((matrix @ matrix.T)[first, second], names[first] == names[second])


def best_match_accuracy(singers: pd.Series, vocalists: pd.Series) -> float:
    """Return the fraction of tracks whose tag is their singer, under the best one-to-one match of tags and singers."""
    if not len(singers):
        return float("nan")
    table = pd.crosstab(singers.to_numpy(), vocalists.to_numpy()).drop(columns="", errors="ignore")
    rows, columns = linear_sum_assignment(-table.to_numpy())
    return float(table.to_numpy()[rows, columns].sum() / len(singers))
