"""What became of each item of a batch: a row of the stage's table, or a row of `failures/`; never nothing.

A ledger covers the items of one part file. The part is named by the items' keys, so work that Ray runs again
replaces what it wrote before. An item in work leaves a mark under `_in_work/`; a mark that is found
later belongs to an item that was there when a worker died, and counts the times. An item that kills its worker
`MAX_CRASHES` times in one run is a failure like any other; a new run begins without marks.
"""

import contextlib
import hashlib
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from pipeline.store import tables
from pipeline.store.errors import Problem, explain, raise_if_fatal
from pipeline.store.workspace import Workspace

MAX_CRASHES = 3
OUTCOMES = pa.schema([("key", pa.string()), ("status", pa.string()), ("error", pa.string()), ("seconds", pa.float64()),
                      ("n", pa.int64()), ("within", pa.string())])


def forget_crashes(workspace: Workspace, stage: str) -> None:
    """Remove the marks that an earlier run of the stage has left."""
    workspace.delete(f"_in_work/{stage}")


def batch_name(keys: Sequence[str]) -> str:
    """Return the part name of a batch: a hash of its keys, whatever their order."""
    return hashlib.blake2b("\n".join(sorted(keys)).encode(), digest_size=12).hexdigest()


class Ledger:
    """The rows, failures and outcomes of some items of a stage; `commit` makes them durable."""

    def __init__(self, workspace: Workspace, stage: str, table: str, part: str | None = None):
        """Start one; `part` names what it writes where that is not all that becomes of a batch."""
        self.workspace, self.stage, self.table, self.part = workspace, stage, table, part
        self.rows: list[dict[str, Any]] = []
        self.failures: list[dict[str, Any]] = []
        self.outcomes: list[dict[str, Any]] = []

    def survivors(self, items: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
        """Return the items that may be worked on; those that have killed too many workers become failures."""
        alive = []
        for item in items:
            crashes = self.crashes(item[key])
            if crashes < MAX_CRASHES:
                alive.append(item)
            else:
                self.fail(item[key], Problem("crashed", f"its worker died {crashes} times while working on it"),
                          track_id=item.get("track_id"), uri=item.get("uri"))
        return alive

    @contextlib.contextmanager
    def item(self, key: str, *, track_id: str | None = None, uri: str | None = None) -> Iterator[dict[str, Any]]:
        """Work on one item in the block; an error undoes the rows added there and becomes the item's failure.

        Yields:
            The outcome that the item has if all goes well; set its `n` where it stands for more than one thing.

        Raises:
            RunError: the error concerns the whole run (disk full, workspace unwritable).
        """
        started, n_rows = time.monotonic(), len(self.rows)
        mark = self._mark(key)
        outcome = {"key": key, "status": "done", "n": 1}
        try:
            self.workspace.write_bytes(mark, str(self.crashes(key) + 1).encode())
            yield outcome
        except Exception as error:
            del self.rows[n_rows:]
            raise_if_fatal(error)
            self.fail(key, error, track_id=track_id, uri=uri, seconds=time.monotonic() - started)
        else:
            self.outcomes.append(outcome | {"seconds": time.monotonic() - started})
        self.workspace.delete(mark)

    def crashes(self, key: str) -> int:
        """Return how often a worker has died with this item in work."""
        mark = self._mark(key)
        return int(self.workspace.read_bytes(mark) or b"0") if self.workspace.exists(mark) else 0

    def add(self, **row: Any) -> None:
        """Add a row of the stage's table."""
        self.rows.append(row)

    def fail(self, key: str, error: Exception, *, track_id: str | None = None, uri: str | None = None,
             seconds: float = 0.0, within: str | None = None) -> None:
        """Add an item's failure, or that of a thing `within` an item: its class and a message in words."""
        kind, message = explain(error)
        self.failures.append({"stage": self.stage, "key": key, "track_id": track_id, "uri": uri, "error": kind,
                              "message": message, "failed_at": datetime.now(UTC)})
        self.outcomes.append({"key": key, "status": "failed", "error": kind, "seconds": seconds, "n": 1,
                              "within": within})

    def _mark(self, key: str) -> str:
        return f"_in_work/{self.stage}/{batch_name([key])}"

    def commit(self) -> pa.Table:
        """Write the failures and the rows, each whole, in place of an earlier try's, and return the outcomes.

        Returns:
            A row per item: `key`, `status` (`done` or `failed`), `error`, `seconds`, `n` (of the things that the stage
            counts), and `within` of which item a thing failed, null for an item itself.
        """
        part = self.part or batch_name([outcome["key"] for outcome in self.outcomes])
        for table, rows, name in (("failures", self.failures, f"{self.stage}-{part}"), (self.table, self.rows, part)):
            if rows:
                tables.write(self.workspace, table, rows, name)
            else:
                self.workspace.delete(tables.part_name(table, name))
        return pa.Table.from_pylist(self.outcomes, schema=OUTCOMES)
