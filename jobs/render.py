"""Render the demo's catalogue of real audio files, with its truth.

python -m jobs.render configs/demo.yaml [render.singers=3 ...]
"""

import sys

from jobs import engine
from pipeline.config import Config
from pipeline.demo.catalogue import render_catalogue
from pipeline.store.errors import ConfigError


def work(config: Config, run: engine.Run) -> None:
    """Render songs of synthetic singers into the config's catalogue folder."""
    if config.catalogue is None:
        raise ConfigError("catalogue: name the folder to render into")
    run.say(f"rendering songs into {config.catalogue}")
    rows = render_catalogue(config.catalogue, config.render, progress=run.say)
    run.done = len(rows)


STAGE = engine.Stage(
    name="render",
    about="Render songs of synthetic singers into the config's catalogue folder.",
    work=work,
    unit="file",
)

if __name__ == "__main__":
    sys.exit(engine.main(STAGE))
