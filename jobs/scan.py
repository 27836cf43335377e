"""Find the audio files of a catalogue: `tracks/` (and `files/`)."""

import sys

from jobs import engine
from jobs.running import counted
from pipeline.config import Config
from pipeline.people.known import read_known, unmatched
from pipeline.stages import scan
from pipeline.store import reach
from pipeline.store.errors import ConfigError


def work(config: Config, run: engine.Run) -> None:
    """Find the audio files of a catalogue, and read their format and tags."""
    if config.catalogue is None:
        raise ConfigError("catalogue: name a folder, glob or manifest: catalogue=/path/to/music")
    reach.check(config.catalogue)
    listing, passed = scan.list_catalogue(config.catalogue, config.scan.suffixes)
    if config.known is not None:
        for remark in unmatched(read_known(config.known), config.known, listing["uri"].to_pylist()):
            run.say(remark)
    todo = scan.pending(run.workspace, listing)
    run.map(scan.ScanWorker, todo, config.scan.compute, skipped=len(listing) - len(todo), arguments=(config.workspace,))
    gone = scan.forget_absent(run.workspace, listing)
    tracks = scan.derive_tracks(run.workspace, listing)
    duplicates = int((tracks["n_files"] - 1).sum())
    told = [
        counted(len(tracks), "track"),
        counted(duplicates, "duplicate file"),
        f"{counted(gone, 'earlier file')} gone or replaced" if gone else "",
        scan.describe(passed),
    ]
    run.note = ", ".join(text for text in told if text)


STAGE = engine.Stage("scan", "Find the audio files of a catalogue, and read their format and tags.", work, unit="file")

if __name__ == "__main__":
    sys.exit(engine.main(STAGE))
