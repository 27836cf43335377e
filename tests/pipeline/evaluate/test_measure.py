"""From files on disk to measures, without Ray: audio, a real encoder, and incomplete sets."""

import numpy as np
import pytest
import soundfile

from pipeline.evaluate import embedding, measure, plan, trials, vectors
from pipeline.store import tables

RATE_HZ = 16000
SINGERS = {"ann": (1.2, 210.0), "bob": (0.8, 120.0), "cher": (2.2, 180.0), "dee": (3.0, 260.0)}


def sing(singer: str, song: int, seconds: float = 6.0) -> np.ndarray:
    """Return a buzz whose timbre depends on the singer and whose melody depends on the song."""
    slope, f0_hz = SINGERS[singer]
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    melody = f0_hz * 2 ** (np.round(2 * np.sin(2 * np.pi * time_s * (0.2 + 0.1 * song))) / 12)
    phase = 2 * np.pi * np.cumsum(melody) / RATE_HZ
    wave = sum(np.sin(k * phase) / k**slope for k in range(1, 16))
    noise = np.random.default_rng(song).normal(size=len(time_s))
    return (0.1 * wave + 0.002 * noise).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    for singer in SINGERS:
        for song in range(3):
            path = tmp_path / "set" / singer / f"{song}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.stack([0.02 * sing("bob", 9), sing(singer, song)], 1), RATE_HZ)
    return tmp_path / "set"


def run(config, workspace) -> measure.Results:
    planned = plan.make(config, workspace)
    for chosen in planned.sets:
        todo = vectors.pending(workspace, chosen.keyed, planned.encoder_ids, chosen.conditions, config.evaluate)
        if len(todo):
            embedding.Embedding(config.workspace, config.evaluate, planned.sources)(todo)
    return measure.measure(config, workspace, planned, say=lambda _: None)


def settings(folder, **chosen):
    return {
        "evaluate": {
            "encoders": ["mfcc"],
            "crop_s": 1.0,
            "crops_per_recording": 4,
            "sample_rate_hz": RATE_HZ,
            "bootstrap": 20,
            "sets": [{"name": "s", "path": str(folder), "reader": "karaoke", **chosen}],
        },
        "cluster": {"purity": 0.6},
    }


def test_every_task_is_measured_from_files(make_config, workspace, folder):
    tasks = ["similarity", "identification", "retrieval", "clusters", "scores"]
    config = make_config(**settings(folder, tasks=tasks, conditions=["clean", "mix", "clean/band_4khz"]))
    results = run(config, workspace)
    values = {(row["task"], row["condition"], row["metric"]): row for row in results.rows}
    eer = values["similarity", "clean", "eer"]
    assert 0 <= eer["low"] <= eer["value"] <= eer["high"] < 0.4 and eer["n"] == 48 * 47 // 2 - 12 * 6
    assert values["identification", "mix", "centroid_top1"]["value"] > 0.5
    assert values["retrieval", "clean", "recall_at_1"]["value"] > 0.5
    assert {task for task, condition, _ in values if condition == "clean/band_4khz"} == {
        "similarity",
        "similarity, pooled",
    }
    assert ("scores, calibrated", "clean", "cllr") in values or any("scores" in row["key"] for row in results.failures)
    assert {task for task, _, _ in values} >= {"names", "clusters"}
    tables.replace(workspace, "evaluation", results.rows)
    assert len(tables.read(workspace, "evaluation")) == len(results.rows)


def test_the_same_seed_gives_the_same_numbers(make_config, workspace, folder):
    config = make_config(**settings(folder, tasks=["similarity", "identification"]))
    assert run(config, workspace).rows == run(config, workspace).rows


def test_trials_read_from_a_file_give_the_same_numbers(make_config, workspace, folder, tmp_path):
    made = run(make_config(**settings(folder)), workspace)
    (tmp_path / "trials.csv").write_bytes(workspace.read_bytes("evaluation_trials/s.csv"))
    pairs, _ = trials.read(tmp_path / "trials.csv")
    again = run(make_config(**settings(folder, trials=str(tmp_path / "trials.csv"))), workspace)
    first, second = ({(row["task"], row["metric"]): row for row in results.rows} for results in (made, again))
    assert first["similarity", "eer"]["n"] == len(pairs) == second["similarity", "eer"]["n"]
    assert first["similarity", "eer"]["value"] == pytest.approx(second["similarity", "eer"]["value"], abs=1e-3)


def test_trials_that_name_a_missing_file_are_counted(make_config, workspace, folder, tmp_path):
    (tmp_path / "list.txt").write_text(
        "1,ann/0.wav,ann/1.wav\n0,ann/0.wav,bob/1.wav\n1,dee/0.wav,dee/2.wav\n0,gone/0.wav,ann/0.wav\n"
    )
    results = run(make_config(**settings(folder, trials=str(tmp_path / "list.txt"))), workspace)
    told = {row["key"]: row["message"] for row in results.failures}
    assert told["s/trials"].startswith("1 of 4 trials name a file that is missing")
    assert "no such file" in told["s/gone/0.wav"]
    assert {row["n"] for row in results.rows if row["metric"] == "eer" and row["task"] == "similarity"} == {3}


def test_a_set_with_one_singer_is_reported(make_config, workspace, folder):
    results = run(make_config(**settings(folder, singers=["ann"], tasks=["similarity", "identification"])), workspace)
    told = {row["key"]: row["message"] for row in results.failures}
    assert (
        "all items are by one singer" in told["s"] and "fewer than two singers" in told["s/mfcc/clean/identification"]
    )
    assert results.rows == []


def test_silent_crops_are_counted(make_config, workspace, folder):
    # Twenty times as loud: what is under 4 kHz stays, and the rest of this crop's level is under the gate.
    soundfile.write(folder / "dee/3.wav", np.stack([np.zeros(3 * RATE_HZ), sing("dee", 3, 3.0)], 1), RATE_HZ)
    config = make_config(**settings(folder, conditions=["clean", "clean/crop_0.01s"]))
    results = run(config, workspace)
    told = [row["message"] for row in results.failures if row["error"] == "no_vector"]
    assert told == ["51 of 51 crops are silent or could not be embedded; they are left out"]
    assert {row["condition"] for row in results.rows} == {"clean"}
