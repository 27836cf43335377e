"""Run the whole pipeline on a rendered catalogue, and compare what it finds with the truth.

python -m jobs.demo configs/demo.yaml [section.key=value ...]
"""

import sys
from pathlib import Path

import pandas as pd

from jobs import engine, render
from jobs.run import run_stages
from pipeline.config import Config
from pipeline.demo import truth
from pipeline.people.known import known_uris
from pipeline.stages import encoders
from pipeline.store import tables
from pipeline.store.errors import ConfigError
from pipeline.store.schemas import SCHEMAS
from pipeline.store.workspace import Workspace

PANDAS = """
    import pandas as pd
    tags = pd.read_parquet("{root}/tags"); print(tags.groupby("vocalist").size())
    print(tags[tags.disagrees][["uri", "file_artist", "vocalist", "probability"]])
    print(pd.read_parquet("{root}/failures")[["stage", "uri", "error", "message"]])
"""


def run_demo(config: Config) -> int:
    """Render the catalogue if it does not exist, run all stages, print the comparison and return the exit status.

    Raises:
        ConfigError: the config names no catalogue.
        RunError: a stage could not continue.
    """
    if config.catalogue is None:
        raise ConfigError("catalogue: name the folder to render into")
    truth_path = Path(config.catalogue) / "truth.csv"
    if not truth_path.exists():
        engine.execute(render.STAGE, config)
    status = run_stages(config)
    summarise(config, truth.read_truth(truth_path))
    return status


def summarise(config: Config, expected: pd.DataFrame) -> None:
    """Print the results, how they compare with the truth, and where they are."""
    workspace = Workspace(config.workspace)
    found = truth.outcomes(workspace, expected)
    print("\nOutcomes of the files")
    for outcome, n in found["found"].value_counts().items():
        print(f"  {n:3} {outcome}")
    for row in found[found["found"].isin(["unreadable", "silent", "instrumental"])].itertuples():
        print(f"      {row.file}: {row.found}" + (f", {row.message}" if row.message else ""))
    print("\nAgainst the truth")
    for line in truth.compare(workspace, expected, known_uris(config.known)).lines():
        print(f"  {line}")
    print("\nWhat is wrong")
    for line in truth.mistakes(workspace, expected):
        print(f"  {line}")
    print("\nHow well the encoders tell these singers apart (equal-error rate between tracks; synthetic singers)")
    trained = ["trained"] if "train" in config.stages else []
    for name in dict.fromkeys([config.embed.encoder, *trained]):
        encoder_id, rate = truth.encoder_eer(workspace, found, encoders.load_encoder(workspace, name))
        print(f"  {name:9} {encoder_id:20} EER {rate:.1%}")
    written = [name for name in SCHEMAS if tables.parts(workspace, name)]
    print(f"\nTables: {workspace.root}/{{{','.join(written)}}}")
    print(f"Report: {workspace.uri('report.html')}\n\nTry:{PANDAS.format(root=workspace.root)}", flush=True)


if __name__ == "__main__":
    sys.exit(engine.command("demo", __doc__, run_demo))
