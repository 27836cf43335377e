"""Write the page about a workspace: `report.html`."""

import sys

from jobs import engine
from pipeline import report
from pipeline.config import Config


def work(config: Config, run: engine.Run) -> None:
    """Write one self-contained HTML page: map, what to listen to next, vocalists, disagreements, failures."""
    page, note = report.build(run.workspace, config.report, config.seed)
    run.workspace.write_bytes(report.NAME, page.encode())
    run.done = 1
    run.note = f"{run.workspace.uri(report.NAME)}: {note}, {len(page) / 1e6:.1f} MB"


STAGE = engine.Stage(
    name="report",
    about="Write one self-contained HTML page: map, what to listen to next, vocalists, disagreements, failures.",
    needs={"tracks": "scan"},
    work=work,
    unit="page",
)

if __name__ == "__main__":
    sys.exit(engine.main(STAGE))
