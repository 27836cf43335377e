"""Write one conditioning vector for each vocalist, for singing synthesis: `conditioning/`, `vocalists.safetensors`."""

import sys

from jobs import engine
from pipeline.config import Config
from pipeline.stages import export
from pipeline.store import provenance, tables


def work(config: Config, run: engine.Run) -> None:
    """Write one conditioning vector for each vocalist, for singing synthesis."""
    workspace = run.workspace
    rows = export.conditioning(*export.sung_tracks(workspace, config.export), config.export)
    encoder_id = rows[0]["encoder_id"]
    provenance.claim(workspace, config.model_copy(update={"replace": True}), "export", encoder_id=encoder_id)
    # The table is written last, so that wherever it exists the matrix does too.
    workspace.write_bytes(export.MATRIX, export.matrix(rows))
    tables.replace(workspace, "conditioning", rows)
    run.done = len(rows)
    run.note = f"{len(rows)} vocalists, {sum(row['n_tracks'] for row in rows)} tracks, encoder {encoder_id}"


STAGE = engine.Stage(
    name="export",
    about="Write one conditioning vector for each vocalist, for singing synthesis.",
    needs={"voices": "embed", "tags": "tag"},
    work=work,
    unit="vocalist",
)

if __name__ == "__main__":
    sys.exit(engine.main(STAGE))
