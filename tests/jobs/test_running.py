"""Counting and blocks of a run; runs on Ray are in test_engine.py."""

import pyarrow as pa
import pytest

from jobs import running
from jobs.running import Run
from pipeline.sections import Compute
from pipeline.store import tables
from pipeline.store.ledger import OUTCOMES


def test_clips_within_a_shard_are_counted_as_clips(make_config, workspace, capsys):
    run = Run("embed", make_config(max_failed_fraction=0.05), "clip", "shard")
    run.map(pytest.fail, pa.table({"shard": pa.array([], pa.string())}), Compute(), skipped=1)
    rows = [{"key": shard, "status": "done", "n": 50} for shard in ("one", "two")]
    rows += [{"key": f"c{i}", "status": "failed", "error": "silent", "n": 1, "within": "two"} for i in range(3)]
    run._count(pa.Table.from_pylist(rows, schema=OUTCOMES))
    assert (run.done, run.failed, run.settled) == (100, 3, 2)
    assert run.finish("ok") == 0
    said = capsys.readouterr().out
    assert "0 shards to do, 1 done before" in said
    assert "100 clips done, 1 shard skipped, 3 failed (silent 3)" in said
    assert tables.read(workspace, "runs")[["done", "unit", "failed"]].to_numpy().tolist() == [[100, "clip", 3]]


@pytest.mark.parametrize(("rows", "batch", "blocks"), [(20, 4, 5), (21, 4, 6), (3, 8, 1), (100_000, 1, 4000)])
def test_blocks_are_whole_batches_and_few(rows, batch, blocks):
    found = running._in_blocks(pa.table({"x": range(rows)}), batch)
    assert len(found) == blocks
    assert all(len(block) % batch == 0 for block in found[:-1])
    assert sum(len(block) for block in found) == rows


@pytest.mark.parametrize(("n", "words"), [(0, "0 tracks"), (1, "1 track"), (2, "2 tracks")])
def test_counts_agree_with_their_nouns(n, words):
    assert running.counted(n, "track") == words
