"""The README's results on real recordings: mix them down, run all stages, and compare with the truth.

    python -m jobs.bench.results AUDIO [--workspace workspace/results]

AUDIO holds `karaoke/` and `previews/`, as `pipeline.evaluate.datasets` reads them (the mix is the sum of voice and
accompaniment), and `songs/<Artist> - <Title>.*` (mixes as they are).
One track of each karaoke singer is given as known. Prints Markdown.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from jobs import engine
from jobs.bench.quality import si_sdr
from jobs.run import run_stages
from pipeline.config import Config, load
from pipeline.demo import truth
from pipeline.evaluate import datasets, plan, stems
from pipeline.evaluate.datasets import Recording
from pipeline.people.known import known_uris
from pipeline.sound import audio
from pipeline.sound.audio import Audio
from pipeline.store import tables
from pipeline.store.errors import ConfigError
from pipeline.store.workspace import Workspace

AUDIBLE_DB = -20.0  # level of a preview's vocals relative to its mix from which it counts as sung
HEADROOM = 0.5  # so that the sum of two full-scale stems does not clip


def mix_down(source: Path, catalogue: Path) -> pd.DataFrame:
    """Write the mixes as FLAC under `catalogue`, with `truth.csv` and `known.csv`; return the truth.

    Raises:
        ConfigError: `source` holds none of the three folders.
    """
    rows = list(_karaoke(source, catalogue)) + list(_songs(source, catalogue)) + list(_previews(source, catalogue))
    if not rows:
        raise ConfigError(f"{source} holds no recordings under karaoke/, songs/ or previews/")
    frame = pd.DataFrame(rows)
    frame.to_csv(catalogue / "truth.csv", index=False)
    known = frame[frame["set"] == "karaoke"].drop_duplicates("singer")
    known.rename(columns={"file": "track", "singer": "vocalist"})[["track", "vocalist"]].to_csv(
        catalogue / "known.csv", index=False
    )
    return truth.read_truth(catalogue / "truth.csv")


def _recordings(source: Path, name: str) -> list[Recording]:
    return datasets.read(name, source / name) if (source / name).is_dir() else []


def _stems(recording: Recording) -> stems.Stems:
    return stems.read(recording.uri, recording.voice, recording.accompaniment)


def _write(catalogue: Path, name: str, mix: np.ndarray, sample_rate_hz: int) -> None:
    path = catalogue / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(audio.flac_bytes(Audio(HEADROOM * mix, sample_rate_hz)))


def _karaoke(source: Path, catalogue: Path) -> Iterator[dict[str, str]]:
    for recording in _recordings(source, "karaoke"):
        song, name = _stems(recording), f"karaoke/{recording.recording}.flac"
        _write(catalogue, name, song.mix, song.sample_rate_hz)
        yield {
            "set": "karaoke",
            "file": name,
            "singer": recording.singer,
            "expected": "vocalist",
            "source": recording.uri,
        }


def _songs(source: Path, catalogue: Path) -> Iterator[dict[str, str]]:
    for path in sorted((source / "songs").glob("* - *")):
        (catalogue / "songs").mkdir(parents=True, exist_ok=True)
        (catalogue / "songs" / path.name).write_bytes(path.read_bytes())
        yield {
            "set": "songs",
            "file": f"songs/{path.name}",
            "singer": path.name.partition(" - ")[0],
            "expected": "vocalist",
            "source": str(path),
        }


def _previews(source: Path, catalogue: Path) -> Iterator[dict[str, str]]:
    for recording in _recordings(source, "previews"):
        song, name = _stems(recording), f"previews/{recording.recording}.flac"
        _write(catalogue, name, song.mix, song.sample_rate_hz)
        ratio_db = 10 * np.log10(max(np.mean(song.voice**2), 1e-12) / max(np.mean(song.mix**2), 1e-12))
        yield {
            "set": "previews",
            "file": name,
            "singer": "",
            "expected": "vocalist" if ratio_db > AUDIBLE_DB else "instrumental",
            "source": recording.uri,
        }


def vocals_quality(workspace: Workspace, expected: pd.DataFrame, source: Path) -> np.ndarray:
    """Return the SI-SDR in dB of each separated karaoke voice, (songs,)."""
    recordings = {recording.uri: recording for recording in _recordings(source, "karaoke")}
    files = tables.read(workspace, "files", ["uri", "track_id"])
    vocals = tables.read(workspace, "vocals", ["track_id", "vocals_uri", "has_vocals"])
    joined = expected[expected["set"] == "karaoke"].merge(files, on="uri").merge(vocals, on="track_id")
    found = []
    for row in joined[joined["has_vocals"]].itertuples():
        true = _stems(recordings[row.source])
        estimate = audio.read(row.vocals_uri, true.sample_rate_hz, 1).samples[0]
        n = min(true.voice.shape[1], len(estimate))
        found.append(si_sdr(estimate[:n], true.voice[0, :n]))
    return np.array(found)


def markdown(config: Config, expected: pd.DataFrame, source: Path) -> str:
    """Return the results of a finished run as a Markdown table."""
    workspace = Workspace(config.workspace)
    runs = tables.read(workspace, "runs").sort_values("started_at").drop_duplicates("stage", keep="last")
    known, karaoke = known_uris(config.known), expected[expected["set"] == "karaoke"]
    unseen = plan.held_out_singers()
    compared = {f"all {karaoke['singer'].nunique()} karaoke singers": truth.compare(workspace, karaoke, known)}
    if unseen:
        heard = truth.compare(workspace, karaoke[karaoke["singer"].isin(unseen)], known)
        compared[f"the {len(unseen)} that no training of the default encoder saw"] = heard
    everything = truth.outcomes(workspace, expected)
    quality = vocals_quality(workspace, expected, source)
    hours = tables.read(workspace, "tracks", ["duration_s"])["duration_s"].sum() / 3600
    seconds = ", ".join(f"{row.stage} {row.seconds:.0f}" for row in runs.itertuples())
    failures = tables.read(workspace, "failures")
    rows = [
        ("catalogue", f"{len(expected)} tracks, {hours:.1f} h"),
        ("wall time per stage, s", seconds),
        ("failures", ", ".join(f"{kind} {n}" for kind, n in failures["error"].value_counts().items()) or "none"),
        ("vocals found where there are some", _vocals_found(everything)),
        ("karaoke vocals, median SI-SDR", f"{np.median(quality):.1f} dB ({len(quality)} songs)"),
        *(
            (f"clusters, {who}", f"B-cubed F1 {found.bcubed_f1:.3f}, ARI {found.ari:.3f}")
            for who, found in compared.items()
        ),
        *(
            (f"tags from one known track a singer, {who}", f"{found.named_accuracy:.1%} of {found.named_tracks} right")
            for who, found in compared.items()
        ),
        ("encoder", ", ".join(tables.read(workspace, "voices", ["encoder_id"])["encoder_id"].unique())),
    ]
    return "\n".join(["| measure | result |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _vocals_found(found: pd.DataFrame) -> str:
    asked = found[found["expected"].isin(["vocalist", "instrumental"])]
    return f"{int((asked['found'] == asked['expected']).sum())} of {len(asked)} tracks right"


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, run and print."""
    parser = argparse.ArgumentParser(prog="python -m jobs.bench.results", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("audio", type=Path, help="folder of the recordings")
    parser.add_argument("--workspace", default="workspace/results")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    arguments = parser.parse_args(argv)
    return engine.guarded(lambda: results(arguments.audio, Path(arguments.workspace), arguments.overrides))


def results(source: Path, workspace: Path, overrides: Sequence[str]) -> int:
    """Run all stages on the recordings, print the table, and return the exit status."""
    catalogue = workspace.with_name(workspace.name + "-catalogue")
    expected = mix_down(source, catalogue)
    config = load(
        Path(__file__).parents[2] / "configs" / "local.yaml",
        [
            f"workspace={workspace}",
            f"catalogue={catalogue}",
            f"known={catalogue / 'known.csv'}",
            "separate.separator=spleeter",
            *overrides,
        ],
    )
    status = run_stages(config)
    print(f"\n{markdown(config, expected, source)}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
