"""Metrics of a run for Prometheus, through Ray's exporter: items done and failed, by stage and class, and audio."""

import pyarrow as pa
from ray.util.metrics import Counter, Gauge


class Metrics:
    """The metrics of one stage; Prometheus sees them with the prefix `ray_vocatlas_`."""

    def __init__(self, stage: str):
        self.stage = {"stage": stage}
        self.items = Counter("vocatlas_items", "Items done and failed; class: of failure", ("stage", "status", "class"))
        self.work_s = Counter("vocatlas_work_seconds", "Seconds that workers spent on items", ("stage",))
        self.audio_s = Counter("vocatlas_audio_seconds", "Seconds of audio in the items done", ("stage",))
        self.left = Gauge("vocatlas_items_left", "Items of the running stage that are still to be done", ("stage",))

    def count(self, outcomes: pa.Table, left: int) -> None:
        """Count a batch of outcomes (see `pipeline.store.ledger`), and set how many items are left after it."""
        for status, error in zip(outcomes["status"].to_pylist(), outcomes["error"].to_pylist(), strict=True):
            self.items.inc(1, self.stage | {"status": status, "class": error or ""})
        for counter, column in ((self.work_s, "seconds"), (self.audio_s, "audio_s")):
            if total := sum(filter(None, outcomes[column].to_pylist())):  # a counter takes no 0
                counter.inc(total, self.stage)
        self.left.set(max(left, 0), self.stage)
