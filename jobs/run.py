"""Run the stages of a config one after the other, from files to tags.

python -m jobs.run configs/local.yaml catalogue=/path/to/music [section.key=value ...]
"""

import sys

from jobs import cluster, embed, engine, evaluate, export, report, scan, separate, shard, tag, train
from pipeline.config import Config

STAGES = {
    stage.name: stage
    for stage in (
        scan.STAGE,
        separate.STAGE,
        shard.STAGE,
        train.STAGE,
        embed.STAGE,
        cluster.STAGE,
        tag.STAGE,
        evaluate.STAGE,
        report.STAGE,
        export.STAGE,
    )
}


def run_stages(config: Config) -> int:
    """Run the config's stages in order and return the worst of their exit statuses.

    Raises:
        RunError: a stage could not continue; later stages do not start.
    """
    return engine.execute_all([STAGES[name] for name in config.stages], config, "run")


if __name__ == "__main__":
    sys.exit(engine.command("run", __doc__, run_stages))
