"""Embed the clips and pool them into a voice for each track: `embeddings/`, `voices/`."""

import functools
import sys
from typing import Any

from jobs import engine
from pipeline.config import Config
from pipeline.sections import EmbedConfig
from pipeline.stages import embed, encoders
from pipeline.store.workspace import Workspace


def encoder_of(workspace: Workspace, config: Config) -> dict[str, Any]:
    """Return the id of the encoder that embeds.

    Raises:
        ConfigError: the encoder is missing, cannot be read, or needs a higher sample rate than the clips have.
    """
    found = _loaded(workspace.root, encoders.known_as(workspace, config.embed.encoder))
    encoders.check_rate(f"embed.encoder={config.embed.encoder}", found[1], config.shard.sample_rate_hz)
    return {"encoder_id": found[0]}


@functools.cache  # called before the whole run and again when the stage begins; loading takes a second
def _loaded(workspace: str, encoder: str) -> tuple[str, int]:
    """Return an encoder's id and its sample rate."""
    model = encoders.load_encoder(Workspace(workspace), encoder)
    return model.encoder_id, model.sample_rate_hz


def settled(config: Config) -> EmbedConfig:
    """Return the stage's section with the encoder's final name, so that all workers load the same one."""
    name = encoders.known_as(Workspace(config.workspace), config.embed.encoder)
    return config.embed.model_copy(update={"encoder": name})


def check(config: Config) -> None:
    """Check that the encoder is available, unless it is still to be trained.

    Raises:
        ConfigError: see `encoder_of`.
    """
    if config.embed.encoder != "trained" or "train" not in config.stages:
        encoder_of(Workspace(config.workspace), config)


STAGE = engine.Stage(
    name="embed",
    about="Embed the clips and pool them into a voice for each track.",
    needs={"clips": "shard"},
    check=check,
    unit="clip",
    given="shard",
    work=engine.Pool(
        embed.EmbedWorker,
        embed.pending,
        settings=lambda config: (settled(config),),
        decided=encoder_of,
        note=lambda workspace, decided: f"encoder {decided['encoder_id']}",
    ),
)

if __name__ == "__main__":
    sys.exit(engine.main(STAGE))
