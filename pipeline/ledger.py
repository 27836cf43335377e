"""What became of each item of a batch: a row of the stage's table, or a row of `failures/`; never nothing.

A ledger is opened for one batch of items. Its parts are named by the items' keys, so a batch that Ray runs
again replaces what it wrote before. An item in work leaves a mark under `_in_work/`; a mark that is found
later belongs to an item that was there when a worker died. Such items go one at a time, so that only the
one which kills its worker collects marks, and after `MAX_CRASHES` it is a failure like any other.
"""

import contextlib
import hashlib
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from pipeline import tables
from pipeline.errors import Problem, explain, raise_if_fatal
from pipeline.workspace import Workspace

MAX_CRASHES = 3
OUTCOMES = pa.schema([("key", pa.string()), ("status", pa.string()), ("error", pa.string()), ("seconds", pa.float64())])


def batch_name(keys: Sequence[str]) -> str:
    """Return the part name of a batch: a hash of its keys, whatever their order."""
    return hashlib.blake2b("\n".join(sorted(keys)).encode(), digest_size=12).hexdigest()


class Ledger:
    """The rows, failures and outcomes of one batch of a stage; `commit` makes them durable."""

    def __init__(self, workspace: Workspace, stage: str, table: str, keys: Sequence[str]):
        self.workspace, self.stage, self.table = workspace, stage, table
        self.part = batch_name(keys)
        self.rows: list[dict[str, Any]] = []
        self.failures: list[dict[str, Any]] = []
        self.outcomes: list[dict[str, Any]] = []

    def finished(self) -> bool:
        """Return whether this very batch was committed before (by an actor that died just after)."""
        return self.workspace.exists(tables.part_name(self.table, self.part))

    @contextlib.contextmanager
    def item(self, key: str, *, track_id: str | None = None, uri: str | None = None) -> Iterator[None]:
        """Work on one item in the block; what it raises becomes the item's failure, unless it ends the run.

        Raises:
            RunError: the error concerns the whole run (disk full, workspace unwritable).
        """
        started = time.monotonic()
        mark = self._mark(key)
        try:
            crashes = self.crashes(key)
            if crashes >= MAX_CRASHES:
                raise Problem("crashed", f"its worker died {crashes} times while working on it")
            self.workspace.write_bytes(mark, str(crashes + 1).encode())
            yield
        except Exception as error:
            raise_if_fatal(error)
            self.fail(key, error, track_id=track_id, uri=uri, seconds=time.monotonic() - started)
        else:
            self.outcomes.append({"key": key, "status": "done", "seconds": time.monotonic() - started})
        self.workspace.delete(mark)

    def crashes(self, key: str) -> int:
        """Return how often a worker has died with this item in work."""
        mark = self._mark(key)
        return int(self.workspace.read_bytes(mark) or b"0") if self.workspace.exists(mark) else 0

    def add(self, **row: Any) -> None:
        """Add a row of the stage's table."""
        self.rows.append(row)

    def fail(self, key: str, error: Exception, *, track_id: str | None = None, uri: str | None = None,
             seconds: float = 0.0) -> None:
        """Add an item's failure: its class and a message in words."""
        kind, message = explain(error)
        self.failures.append({"stage": self.stage, "key": key, "track_id": track_id, "uri": uri, "error": kind,
                              "message": message, "failed_at": datetime.now(UTC)})
        self.outcomes.append({"key": key, "status": "failed", "error": kind, "seconds": seconds})

    def _mark(self, key: str) -> str:
        return f"_in_work/{self.stage}/{batch_name([key])}"

    def commit(self) -> pa.Table:
        """Write the batch's failures and rows, each whole, and return its outcomes.

        Returns:
            A row per item: `key`, `status` (`done` or `failed`), `error`, `seconds`.
        """
        if self.failures:
            tables.write(self.workspace, "failures", self.failures, f"{self.stage}-{self.part}")
        if self.rows:
            tables.write(self.workspace, self.table, self.rows, self.part)
        return pa.Table.from_pylist(self.outcomes, schema=OUTCOMES)
