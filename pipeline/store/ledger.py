"""The outcome of each item of a batch: a row of the stage's table or a row of `failures/`, and nothing else.

A ledger covers the items of one part file. The part is named after the keys of the batch and its number among the
batch's parts, so work that Ray repeats replaces what it wrote before, even if the outcomes differ.

A batch in progress has a mark under `_in_work/`. If there is one already, a worker has died with that batch, and it is
repeated carefully: each item gets its own mark, which counts how often a worker died with just this item. An item that
kills its worker `MAX_CRASHES` more times is a failure like any other. A new run begins without marks.
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
OUTCOMES = pa.schema(
    [
        ("key", pa.string()),
        ("status", pa.string()),
        ("error", pa.string()),
        ("seconds", pa.float64()),
        ("n", pa.int64()),
        ("audio_s", pa.float64()),
        ("within", pa.string()),
    ]
)


def forget_crashes(workspace: Workspace, stage: str) -> None:
    """Remove the marks that an earlier run of the stage left."""
    workspace.delete(f"_in_work/{stage}")


def batch_name(keys: Sequence[str]) -> str:
    """Return the part name of a batch: a hash of its keys in any order."""
    return hashlib.blake2b("\n".join(sorted(keys)).encode(), digest_size=12).hexdigest()


class Ledger:
    """The rows, failures and outcomes of some items of a stage; `commit` makes them durable."""

    def __init__(self, workspace: Workspace, stage: str, table: str):
        self.workspace, self.stage, self.table = workspace, stage, table
        self.rows: list[dict[str, Any]] = []
        self.failures: list[dict[str, Any]] = []
        self.outcomes: list[dict[str, Any]] = []
        self.careful = False
        self.batch, self.number = "", 0

    def survivors(self, items: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
        """Mark the batch as in progress, and return its items without those that have killed too many workers."""
        self.batch = batch_name([item[key] for item in items])
        mark = self._mark(self.batch)
        self.careful = self._read(mark) is not None
        if not self.careful:
            self.workspace.write_bytes(mark, b"")
            return items
        alive = []
        for item in items:
            crashes = self.crashes(item[key])
            if crashes < MAX_CRASHES:
                alive.append(item)
            else:
                self.fail(
                    item[key],
                    Problem("crashed", f"its worker died {crashes} times while working on it alone"),
                    track_id=item.get("track_id"),
                    uri=item.get("uri"),
                )
        return alive

    @contextlib.contextmanager
    def item(self, key: str, *, track_id: str | None = None, uri: str | None = None) -> Iterator[dict[str, Any]]:
        """Process one item in the block; an error removes the rows added there and becomes the item's failure.

        Yields:
            The item's outcome if all goes well; set its `n` if it stands for more than one thing, and `audio_s` to the
            seconds of audio in it.

        Raises:
            RunError: the error concerns the whole run (disk full, workspace unwritable).
        """
        started, n_rows = time.monotonic(), len(self.rows)
        outcome = {"key": key, "status": "done", "n": 1}
        try:
            if self.careful:
                self.workspace.write_bytes(self._mark(key), b"%d" % (self.crashes(key) + 1))
            yield outcome
        except Exception as error:
            del self.rows[n_rows:]
            raise_if_fatal(error)
            self.fail(key, error, track_id=track_id, uri=uri, seconds=time.monotonic() - started)
        else:
            self.outcomes.append(outcome | {"seconds": time.monotonic() - started})
        if self.careful:
            self.workspace.write_bytes(self._mark(key), b"0")

    def crashes(self, key: str) -> int:
        """Return how often a worker has died while processing just this item."""
        return int(self._read(self._mark(key)) or 0) if self.careful else 0

    def _read(self, mark: str) -> bytes | None:
        try:
            return self.workspace.read_bytes(mark)
        except FileNotFoundError:
            return None

    def add(self, **row: Any) -> None:
        """Add a row of the stage's table."""
        self.rows.append(row)

    def fail(
        self,
        key: str,
        error: Exception,
        *,
        track_id: str | None = None,
        uri: str | None = None,
        seconds: float = 0.0,
        within: str | None = None,
    ) -> None:
        """Add an item's failure, or that of a thing `within` an item, with its class and a message."""
        kind, message = explain(error)
        self.failures.append(
            {
                "stage": self.stage,
                "key": key,
                "track_id": track_id,
                "uri": uri,
                "error": kind,
                "message": message,
                "failed_at": datetime.now(UTC),
            }
        )
        self.outcomes.append(
            {"key": key, "status": "failed", "error": kind, "seconds": seconds, "n": 1, "within": within}
        )

    def _mark(self, key: str) -> str:
        return f"_in_work/{self.stage}/{batch_name([key])}"

    @property
    def part(self) -> str:
        """Return the name of the part that holds the rows: that of the batch, and its number in it."""
        batch = self.batch or batch_name([outcome["key"] for outcome in self.outcomes])
        return f"{batch}{self.number:04d}"

    def following(self) -> "Ledger":
        """Return a new ledger for the rest of the same batch."""
        ledger = Ledger(self.workspace, self.stage, self.table)
        ledger.careful, ledger.batch, ledger.number = self.careful, self.batch, self.number + 1
        return ledger

    def is_left_over(self) -> bool:
        """Return whether a worker that died with this batch has already written this ledger's part."""
        return self.careful and any(
            tables.is_there(self.workspace, table, name)
            for table, name in ((self.table, self.part), ("failures", f"{self.stage}-{self.part}"))
        )

    def put(self, table: str, rows: list[dict[str, Any]], part: str) -> None:
        """Write rows of the batch to a table, replacing those of an earlier attempt."""
        if rows:
            tables.append(self.workspace, table, rows, part)
        elif self.careful:
            tables.drop(self.workspace, table, part)

    def commit(self) -> pa.Table:
        """Write the failures and the rows, replacing those of an earlier attempt, and return the outcomes.

        Returns:
            A row per item: `key`, `status` (`done` or `failed`), `error`, `seconds`, `n` (of the things that the stage
            counts), `audio_s` (of audio; null if unknown), and `within`: the item in which a thing failed, null for an
            item itself.
        """
        self.put("failures", self.failures, f"{self.stage}-{self.part}")
        self.put(self.table, self.rows, self.part)
        return pa.Table.from_pylist(self.outcomes, schema=OUTCOMES)
