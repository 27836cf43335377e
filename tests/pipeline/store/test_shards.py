from pipeline.store import shards, tables


def test_a_shard_without_recorded_contents_is_read(workspace):
    for shard in "ab":
        tables.write(workspace, "clips", [{"clip_id": f"{shard}{i}", "track_id": f"t{shard}"} for i in range(3)], shard)
    tables.append(workspace, "shards", [{"track_id": "ta", "shard": "part-a.parquet", "n_clips": 3}], "a")
    tables.append(workspace, "shards", [{"track_id": "gone", "shard": "part-gone.parquet", "n_clips": 3}], "gone")
    found = shards.contents(workspace).to_pylist()
    assert sorted(found, key=lambda row: row["shard"]) == [
        {"track_id": "ta", "shard": "part-a.parquet"},
        {"track_id": "tb", "shard": "part-b.parquet"},
    ]


def test_without_clips_there_are_no_contents(workspace):
    assert len(shards.contents(workspace)) == 0
