"""Run the stages of a config one after the other: the whole way of a track.

    python -m jobs.run configs/local.yaml catalogue=/path/to/music [section.key=value ...]
"""

import sys

from jobs import cluster, embed, engine, evaluate, export, report, scan, separate, shard, tag, train
from pipeline import separators
from pipeline.config import Config
from pipeline.people.known import read_known
from pipeline.stages.embed import load_encoder
from pipeline.store.workspace import Workspace

BODIES: dict[str, engine.Body] = {
    "scan": scan.run, "separate": separate.run, "shard": shard.run, "train": train.run, "embed": embed.run,
    "cluster": cluster.run, "tag": tag.run, "evaluate": evaluate.run, "report": report.run,
    "export": export.run,
}


def run_stages(config: Config) -> int:
    """Run the config's stages in order and return the worst of their exit statuses.

    Raises:
        RunError: a stage could not go on; those after it are not begun.
    """
    check(config)
    with engine.alone(Workspace(config.workspace), config, "run"):
        return max(engine.execute(stage, BODIES[stage], config) for stage in config.stages)


def check(config: Config) -> None:
    """Look for all that the stages will need, before hours of work are done.

    Raises:
        ConfigError: the known names, the separator's weights or the encoder are not there, or cannot be read.
    """
    if config.known is not None and "tag" in config.stages:
        read_known(config.known)
    if "separate" in config.stages:
        separators.check(config.separate.separator)
    if "embed" in config.stages and not (config.embed.encoder == "trained" and "train" in config.stages):
        load_encoder(Workspace(config.workspace), config.embed.encoder)


if __name__ == "__main__":
    sys.exit(engine.command("run", __doc__, run_stages))
