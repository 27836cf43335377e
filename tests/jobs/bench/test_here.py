import pyarrow as pa

from jobs.bench.here import Here, run_here
from pipeline.sections import Compute
from pipeline.store import tables


def test_all_rows_are_processed_in_batches(make_config):
    batches = []
    run = Here("separate", make_config())
    run.map(
        lambda *given: lambda rows: batches.append((*given, *rows["key"].to_pylist())),
        pa.table({"key": [1, 2, 3]}),
        Compute(batch=2),
        arguments=("w",),
    )
    assert batches == [("w", 1, 2), ("w", 3)]


def test_stages_run_one_after_the_other_and_are_timed(make_config, workspace, capsys):
    tables.write(
        workspace, "voices", [{"track_id": "a", "encoder_id": "e", "n_clips": 1, "embedding": [1.0, 0.0]}], "a"
    )
    spent = run_here(make_config(cluster={"umap": False}), ["cluster"])
    assert spent["cluster"].shape == (2,)
    assert tables.read(workspace, "clusters")["track_id"].to_list() == ["a"]
    assert not capsys.readouterr().out
