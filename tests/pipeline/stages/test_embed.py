import numpy as np
import pyarrow as pa
import pytest
import torch

import encoder
from pipeline.sound import audio
from pipeline.sound.audio import Audio
from pipeline.stages import embed
from pipeline.store import tables

RATE = 16000


def clip(seconds: float, seed: int) -> Audio:
    rng = np.random.default_rng(seed)
    return Audio(rng.normal(0, 0.1, (1, round(seconds * RATE))).astype(np.float32), RATE)


def write_shard(workspace, part: str, clips: dict[str, list[Audio]]) -> None:
    rows = [
        {
            "clip_id": f"{track}-{i}",
            "track_id": track,
            "start_s": 10.0 * i,
            "end_s": 10.0 * i + sound.duration_s,
            "sample_rate_hz": RATE,
            "audio": audio.flac_bytes(sound),
        }
        for track, sounds in clips.items()
        for i, sound in enumerate(sounds)
    ]
    tables.write(workspace, "clips", rows, part)


def test_batches_of_any_size_give_the_same_vectors_in_order(tiny):
    clips = [clip(seconds, i) for i, seconds in enumerate([1.0, 3.0, 0.5, 2.0, 3.0])]
    model = encoder.load(tiny)
    one_by_one = np.concatenate([embed.Embedder(model, 1e-3, bf16=False)([sound]) for sound in clips])
    together = embed.Embedder(model, 6.0, bf16=False)(clips)
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_batches_do_not_exceed_the_allowed_seconds(tiny):
    clips = [clip(seconds, 0) for seconds in (1.0, 2.0, 2.5, 7.0)]
    embedder = embed.Embedder(encoder.load(tiny), 5.0, bf16=False)
    assert list(embedder._groups(clips, [0, 1, 2, 3])) == [[0, 1], [2], [3]]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU takes batches of any size")
def test_on_a_cpu_batches_fit_its_cache(tiny):
    cached_s = embed.CACHED_S * torch.get_num_threads()
    assert embed.Embedder(encoder.load(tiny), 1e4, bf16=False).batch_s == cached_s
    assert embed.Embedder(encoder.load(tiny), cached_s / 2, bf16=False).batch_s == cached_s / 2


def test_bf16_changes_little():
    clips = [clip(3.0, i) for i in range(4)]
    model = encoder.load("default")  # trained: what random weights do to rounding is random, too
    exact, near = embed.Embedder(model, 60, bf16=False), embed.Embedder(model, 60, bf16=True)
    near.bf16 = True  # emulated if this processor does not multiply it
    assert np.sum(near(clips) * exact(clips), axis=1).min() > 0.99


def test_bf16_is_not_used_if_it_would_be_emulated(tiny, monkeypatch):
    monkeypatch.setattr(embed, "multiplies_bfloat16", lambda device: False)
    assert not embed.Embedder(encoder.load(tiny), 60, bf16=True).bf16


def test_shards_become_embeddings_and_voices(make_config, workspace, tiny):
    write_shard(workspace, "one", {"a": [clip(4, 0), clip(6, 1)], "b": [clip(4, 2)]})
    write_shard(workspace, "two", {"c": [clip(4, 3), Audio(np.zeros((1, 4 * RATE), np.float32), RATE)]})
    config = make_config(embed={"encoder": str(tiny)})
    todo, done = embed.pending(workspace)
    assert (todo["shard"].to_pylist(), done) == (["part-one.parquet", "part-two.parquet"], 0)
    outcomes = embed.EmbedWorker(config.workspace, config.embed)(todo)
    assert sorted((row["status"], row["key"], row["n"], row["within"]) for row in outcomes.to_pylist()) == [
        ("done", "part-one.parquet", 3, None),
        ("done", "part-two.parquet", 1, None),
        ("failed", "c-1", 1, "part-two.parquet"),
    ]  # counted in clips, processed in shards
    assert sorted(filter(None, outcomes["audio_s"].to_pylist())) == [4, 14]
    frame, vectors = tables.read_embeddings(workspace)
    assert sorted(frame["clip_id"]) == ["a-0", "a-1", "b-0", "c-0"]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    voices, pooled = tables.read_voices(workspace)
    assert voices.set_index("track_id")["n_clips"].to_dict() == {"a": 2, "b": 1, "c": 1}
    assert set(voices["encoder_id"]) == {encoder.load(tiny).encoder_id}
    of_a = vectors[frame["track_id"] == "a"].astype(float)
    expected = 4 * of_a[0] + 6 * of_a[1]
    np.testing.assert_allclose(pooled[voices["track_id"] == "a"][0], expected / np.linalg.norm(expected), atol=1e-5)
    failures = tables.read(workspace, "failures")
    assert failures[["key", "track_id", "error"]].to_numpy().tolist() == [["c-1", "c", "silent"]]
    todo, done = embed.pending(workspace)
    assert (len(todo), done) == (0, 2)


def test_spread_is_zero_for_identical_clips():
    same = np.tile(np.eye(4, dtype=np.float32)[0], (3, 1))
    clips = pa.table({"clip_id": ["x"] * 3, "track_id": ["t"] * 3, "start_s": [0.0] * 3, "end_s": [4.0] * 3})
    assert embed.pool(embed.with_vectors(clips, same, "e"))[0]["spread"] == pytest.approx(0, abs=1e-7)
    apart = np.eye(4, dtype=np.float32)[:3]
    assert embed.pool(embed.with_vectors(clips, apart, "e"))[0]["spread"] == pytest.approx(1 - 3**-0.5, abs=1e-6)
