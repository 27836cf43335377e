"""Embed the clips and pool them into a voice for each track: `embeddings/`, `voices/`."""

import sys

from jobs import engine
from pipeline.config import Config
from pipeline.stages import embed
from pipeline.store import provenance


def run(config: Config, run: engine.Run) -> None:
    """Embed the clips and pool them into a voice for each track."""
    engine.need(run.workspace, "clips", "shard")
    encoder_id = embed.load_encoder(run.workspace, config.embed.encoder).encoder_id
    provenance.claim(run.workspace, config, "embed", encoder_id=encoder_id)
    todo, done = embed.pending(run.workspace)
    run.map(embed.EmbedWorker, todo, config.embed.compute, skipped=done)
    run.note = f"encoder {encoder_id}"


if __name__ == "__main__":
    sys.exit(engine.main("embed", run))
