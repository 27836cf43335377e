"""Run the stages of a config one after the other: the whole way of a track.

    python -m jobs.run configs/local.yaml catalogue=/path/to/music [section.key=value ...]
"""

import sys

from jobs import cluster, embed, engine, evaluate, export, report, scan, separate, shard, tag, train
from pipeline.config import Config
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
    with engine.alone(Workspace(config.workspace), config, "run"):
        return max(engine.execute(stage, BODIES[stage], config) for stage in config.stages)


if __name__ == "__main__":
    sys.exit(engine.command("run", __doc__, run_stages))
